"""History: lists of commits and single ones."""

import httpx
import pytest
from conftest import commit, create_branch


async def status_of(coroutine):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await coroutine
    return error.value.response.status_code


@pytest.fixture
async def history(repo):
    """Twenty-three commits on one branch, oldest first in `repo.shas`."""
    repo.shas = []
    for number in range(23):
        made = await commit(repo, {"n": str(number), f"dir/{number % 3}": str(number)}, message=f"Commit {number}")
        repo.shas.append(made["commit_sha"])
    return repo


async def test_newest_first_with_pages_of_twenty(history):
    page = await history.list_commits()
    assert [c["sha"] for c in page["commits"]] == history.shas[:-21:-1]
    assert page["has_more"] is True
    rest = await history.list_commits(cursor=page["next_cursor"])
    assert [c["sha"] for c in rest["commits"]] == history.shas[2::-1]
    assert rest["has_more"] is False


async def test_pages_of_any_size_cover_everything_once(history):
    for limit in (1, 11, 23, 100):
        seen, cursor = [], None
        while True:
            page = await history.list_commits(limit=limit, cursor=cursor, branch="main")
            assert len(page["commits"]) <= limit
            seen += [c["sha"] for c in page["commits"]]
            if not page["has_more"]:
                break
            cursor = page["next_cursor"]
        assert seen == history.shas[::-1]


async def test_pages_hold_still_while_commits_arrive(history):
    first = await history.list_commits(limit=5)
    await commit(history, {"new": "1"}, message="meanwhile")
    second = await history.list_commits(limit=5, cursor=first["next_cursor"])
    seen = [c["sha"] for c in first["commits"] + second["commits"]]
    assert seen == history.shas[:-11:-1]


async def test_a_commit_tells_everything(repo):
    first = await commit(repo, {"a": "1"}, message="One line")
    second = await commit(repo, {"a": "2"}, message="Title\n\nBody")
    newest, oldest = (await repo.list_commits())["commits"]
    assert (newest["sha"], oldest["sha"]) == (second["commit_sha"], first["commit_sha"])
    assert (newest["message"], oldest["message"]) == ("Title\n\nBody", "One line")
    assert oldest["date"].tzinfo and oldest["raw_date"].endswith("Z")
    if "parent_shas" in oldest:
        assert (newest["parent_shas"], oldest["parent_shas"]) == ([first["commit_sha"]], [])


async def test_branches_have_their_own_history(history):
    await create_branch(history, "main", "side")
    side = await commit(history, {"side": "1"}, branch="side")
    assert (await history.list_commits(branch="side", limit=1))["commits"][0]["sha"] == side["commit_sha"]
    assert (await history.list_commits(limit=1))["commits"][0]["sha"] == history.shas[-1]


async def test_what_is_not_there_is_not_found(repo):
    await commit(repo, {"a": "1"})
    assert await status_of(repo.list_commits(branch="nowhere")) == 404
    repo._id += "-nothing"
    assert await status_of(repo.list_commits()) == 404


async def test_a_bad_cursor_is_refused(history):
    assert await status_of(history.list_commits(cursor="no such cursor")) == 400


@pytest.mark.sdk1
async def test_ephemeral_history(history):
    tip = await commit(history, {"x": "1"}, branch="preview", base_branch="main", ephemeral=True)
    page = await history.list_commits(branch="preview", ephemeral=True, limit=2)
    assert [c["sha"] for c in page["commits"]] == [tip["commit_sha"], history.shas[-1]]
    assert await status_of(history.list_commits(branch="preview")) == 404


@pytest.mark.sdk1
async def test_the_history_of_a_path(history):
    page = await history.list_commits(path="dir/1", limit=100)
    assert [c["sha"] for c in page["commits"]] == history.shas[1::3][::-1]
    assert [c["sha"] for c in (await history.list_commits(path="dir", limit=100))["commits"]] == history.shas[::-1]
    first = await history.list_commits(path="dir/1", limit=3)
    rest = await history.list_commits(path="dir/1", limit=100, cursor=first["next_cursor"])
    assert [c["sha"] for c in first["commits"] + rest["commits"]] == history.shas[1::3][::-1]
    assert (await history.list_commits(path="never/was"))["commits"] == []


@pytest.mark.sdk1
async def test_one_commit_by_any_revision(history):
    sha = history.shas[-1]
    for revision in (sha, sha[:8], sha.upper(), "main", "refs/heads/main", "HEAD"):
        found = (await history.get_commit(sha=revision))["commit"]
        assert found["sha"] == sha, revision
        assert found["parent_shas"] == [history.shas[-2]]
        assert "signature" not in found


@pytest.mark.sdk1
@pytest.mark.parametrize("revision", ["0" * 40, "nowhere", "ffffffff"])
async def test_an_unknown_commit_is_not_found(history, revision):
    assert await status_of(history.get_commit(sha=revision)) == 404


@pytest.mark.sdk1
async def test_a_tree_is_no_commit(repo):
    made = await commit(repo, {"a": "1"})
    assert await status_of(repo.get_commit(sha=made["tree_sha"])) == 404


@pytest.mark.once
@pytest.mark.parametrize(
    "path, status",
    [
        ("/repos/commit", 400), ("/repos/commit?sha=", 400), ("/repos/commit?sha=%20", 400),
        ("/repos/commits?limit=-1", 400), ("/repos/commits?limit=x", 400), ("/repos/commits?path=../x", 400),
        ("/repos/commits?ephemeral=maybe", 400),
    ],
)  # fmt: skip
def test_bad_queries(api, path, status):
    response = api("GET", path, api.create(commits=1))
    assert response.status_code == status, response.text
