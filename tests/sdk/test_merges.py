"""Merges with the SDK: how they end, conflicts, guards, previews."""

import pytest
from conftest import commit, create_branch, read
from pierre_storage import ApiError
from wire import AUTHOR, chunk, metadata, send

pytestmark = pytest.mark.sdk1


@pytest.fixture
async def diverged(repo):
    """`main` and `topic` have both gone on from one commit, in different files."""
    repo.base = (await commit(repo, {"a": "1\n"}))["commit_sha"]
    repo.theirs = (await commit(repo, {"b": "1\n"}, branch="topic", base_branch="main"))["commit_sha"]
    repo.ours = (await commit(repo, {"a": "2\n"}))["commit_sha"]
    return repo


def merge(repo, source="topic", target="main", strategy="merge", **options):
    return repo.merge(source_branch=source, target_branch=target, strategy=strategy, **options)


WITH = {"commit_message": "Merge topic", "author": AUTHOR}


async def refused(coroutine, status):
    with pytest.raises(ApiError) as error:
        await coroutine
    assert error.value.status_code == status, error.value.message
    return error.value


async def test_a_merge_commit(diverged):
    merged = await merge(diverged, **WITH)
    assert merged["result"] == "merge_commit"
    assert merged["merge_base_sha"] == diverged.base
    assert merged["promoted_commits"] == 1
    assert merged["source"] == {"branch": "topic", "ephemeral": False, "sha": diverged.theirs}
    target = {"branch": "main", "ephemeral": False, "old_sha": diverged.ours, "new_sha": merged["commit_sha"]}
    assert merged["target"] == target
    found = await diverged.get_commit(sha=merged["commit_sha"])
    assert found["commit"]["parent_shas"] == [diverged.ours, diverged.theirs]
    assert found["commit"]["message"] == "Merge topic"
    assert (await diverged.list_files())["paths"] == ["a", "b"]
    assert (await merge(diverged))["result"] == "no_op"


async def test_fast_forwards_need_no_message(diverged):
    error = await refused(merge(diverged, strategy="ff_only"), 409)
    assert error.response.json()["merge_base_sha"] == diverged.base
    await refused(merge(diverged, strategy="ff_prefer"), 400)
    await merge(diverged, **WITH)
    moved = await merge(diverged, source="main", target="topic", strategy="ff_only")
    assert moved["result"] == "fast_forward"
    assert moved["promoted_commits"] == 2


async def test_a_squash(diverged):
    squashed = await merge(diverged, squash=True, **WITH)
    assert squashed["result"] == "squash"
    found = await diverged.get_commit(sha=squashed["commit_sha"])
    assert found["commit"]["parent_shas"] == [diverged.ours]


async def test_a_conflict_tells_its_paths_and_changes_nothing(diverged):
    await commit(diverged, {"a": "3\n"}, branch="topic")
    error = await refused(merge(diverged, **WITH), 409)
    body = error.response.json()
    assert body["conflict_paths"] == ["a"]
    assert body["merge_base_sha"] == diverged.base
    assert body["code"] == "merge_conflict"
    assert "`a`" in error.message
    assert await read(diverged, "a") == b"2\n"

    shown = await diverged.preview_merge(source_branch="topic", target_branch="main", include_content=True)
    assert (shown["status"], shown["result"]) == ("conflicted", "merge_commit")
    assert shown["conflict_paths"] == ["a"]
    (conflict,) = shown["conflicts"]
    assert [conflict[side]["content"] for side in ("base", "ours", "theirs")] == ["1\n", "2\n", "3\n"]
    assert conflict["result"]["content"] == "<<<<<<< main\n2\n=======\n3\n>>>>>>> topic\n"


async def test_a_preview_of_a_clean_merge(diverged):
    shown = await diverged.preview_merge(source_branch="topic", target_branch="main")
    assert (shown["status"], shown["result"]) == ("clean", "merge_commit")
    assert shown["merge_base_sha"] == diverged.base
    assert (shown["source_tip_sha"], shown["target_tip_sha"]) == (diverged.theirs, diverged.ours)
    assert shown["conflicts"] == shown["filtered_conflicts"] == shown["conflict_paths"] == []
    await refused(diverged.preview_merge(source_branch="nothing", target_branch="main"), 404)


async def test_the_target_must_be_where_it_is_expected(diverged):
    error = await refused(merge(diverged, expected_target_sha=diverged.base, **WITH), 409)
    assert error.response.json()["code"] == "head_moved"
    assert error.response.json()["conflict_paths"] == []
    merged = await merge(diverged, expected_target_sha=diverged.ours, **WITH)
    assert merged["result"] == "merge_commit"


async def test_a_renamed_file_keeps_what_the_other_side_changed(repo):
    text = "".join(f"line {n}\n" for n in range(40))
    await commit(repo, {"old/name": text})
    await commit(repo, {"new/name": text}, branch="topic", base_branch="main", delete=["old/name"])
    await commit(repo, {"old/name": text.replace("line 7\n", "line seven\n")})
    assert (await merge(repo, **WITH))["result"] == "merge_commit"
    assert (await repo.list_files())["paths"] == ["new/name"]
    assert b"line seven\n" in await read(repo, "new/name")


async def test_ephemeral_branches(diverged):
    await create_branch(diverged, "topic", "draft", target_is_ephemeral=True)
    await refused(merge(diverged, source="draft", **WITH), 404)
    merged = await merge(diverged, source="draft", source_is_ephemeral=True, **WITH)
    assert merged["source"]["ephemeral"] is True
    moved = await merge(diverged, source="main", target="draft", target_is_ephemeral=True, strategy="ff_only")
    assert moved["target"]["new_sha"] == merged["commit_sha"]


@pytest.mark.once
def test_cherry_picks_and_reverts_follow_the_same_conventions(api):
    """No SDK calls these: they are additions of ours."""
    name = api.create()
    base = send(api, name, metadata("a"), chunk("a", b"1\n")).json()["commit"]["commit_sha"]
    topic = metadata("b", target_branch="topic", base_branch="main")
    picked = send(api, name, topic, chunk("b", b"1\n")).json()["commit"]["commit_sha"]
    body = {"target_branch": "main", "commit": "topic", "expected_target_sha": base}
    answer = api("POST", "/repos/cherry-pick", name, json=body)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["result"], made["target"]["old_sha"]) == ("committed", base)
    assert [one["source_sha"] for one in made["commits"]] == [picked]
    assert api("POST", "/repos/cherry-pick", name, json=body).status_code == 409
    del body["expected_target_sha"]
    again = api("POST", "/repos/cherry-pick", name, json=body).json()
    assert (again["result"], again["commits"][0]["result"]) == ("no_op", "empty")
    body = {"target_branch": "main", "commit": made["commit_sha"], "author": AUTHOR}
    undone = api("POST", "/repos/revert", name, json=body).json()
    assert undone["result"] == "committed"
    again = api("POST", "/repos/revert", name, json=body).json()
    assert again["result"] == "no_op"
    send(api, name, metadata("b"), chunk("b", b"2\n"))
    answer = api("POST", "/repos/cherry-pick", name, json={"target_branch": "main", "commit": "topic"})
    assert answer.status_code == 409
    failure = answer.json()
    assert (failure["conflict_paths"], failure["conflict_commit_sha"]) == (["file-b"], picked)
