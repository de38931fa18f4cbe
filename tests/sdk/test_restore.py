"""Restoring a branch to an earlier commit through the SDK."""

import pytest
from conftest import commit, read
from pierre_storage import RefUpdateError
from wire import AUTHOR


async def test_a_restored_branch_has_the_earlier_files(repo):
    first = await commit(repo, {"a": "1", "keep/b": "2"})
    second = await commit(repo, {"a": "changed", "later": "3"}, delete=["keep"])
    result = await repo.restore_commit(
        target_branch="main",
        target_commit_sha=first["commit_sha"],
        expected_head_sha=second["commit_sha"],
        commit_message="Restore to stable version",
        author=AUTHOR,
    )
    assert result["tree_sha"] == first["tree_sha"]
    assert result["target_branch"] == "main"
    assert result["pack_bytes"] > 0
    assert result["ref_update"] == {
        "branch": "main",
        "old_sha": second["commit_sha"],
        "new_sha": result["commit_sha"],
    }
    assert (await repo.list_files())["paths"] == ["a", "keep/b"]
    assert await read(repo, "a") == b"1"
    newest = (await repo.list_commits())["commits"][0]
    assert (newest["sha"], newest["message"]) == (result["commit_sha"], "Restore to stable version")


async def test_a_message_is_made_where_none_is_given(repo):
    first = await commit(repo, {"a": "1"}, message="The first")
    await commit(repo, {"a": "2"})
    await repo.restore_commit(target_branch="main", target_commit_sha=first["commit_sha"], author=AUTHOR)
    newest = (await repo.list_commits())["commits"][0]
    assert newest["message"].startswith('Restore "The first"')
    assert first["commit_sha"] in newest["message"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"target_commit_sha": "1" * 40}, "not_found"),
        ({"target_branch": "other"}, "not_found"),
        ({"expected_head_sha": "1" * 40}, "precondition_failed"),
    ],
    ids=["commit", "branch", "head"],
)
async def test_a_refusal_says_why(repo, change, status):
    first = await commit(repo, {"a": "1"})
    options = {"target_branch": "main", "target_commit_sha": first["commit_sha"], "author": AUTHOR} | change
    with pytest.raises(RefUpdateError) as error:
        await repo.restore_commit(commit_message="m", **options)
    assert error.value.status == error.value.reason == status
    assert (await repo.list_commits())["commits"][0]["sha"] == first["commit_sha"]
