"""Files with the commit that changed each last."""

import datetime

import httpx
import pytest
from conftest import commit

pytestmark = pytest.mark.sdk1


@pytest.fixture
async def filled(repo):
    first = await commit(repo, {"README.md": "one\n", "src/a.rs": "a", "src/lib/b.rs": "bb"})
    second = await commit(repo, {"src/a.rs": "aa"})
    repo.first, repo.second = first["commit_sha"], second["commit_sha"]
    return repo


async def test_each_file_names_its_last_commit(filled):
    result = await filled.list_files_with_metadata()
    found = {file["path"]: (file["last_commit_sha"], file["size"], file["mode"], file["type"]) for file in result["files"]}
    assert found == {
        "README.md": (filled.first, 4, "100644", "blob"),
        "src/a.rs": (filled.second, 2, "100644", "blob"),
        "src/lib/b.rs": (filled.first, 2, "100644", "blob"),
    }
    assert result["ref"] == "main" and result["has_more"] is False
    assert set(result["commits"]) == {filled.first, filled.second}
    last = result["commits"][filled.second]
    assert last["author"] and last["message"]
    assert abs(datetime.datetime.now(datetime.timezone.utc) - last["date"]) < datetime.timedelta(minutes=5)


async def test_every_option_is_heeded(filled):
    result = await filled.list_files_with_metadata(ref=filled.first, path="src", recursive=False, ephemeral=False, limit=1)
    assert [(file["path"], file["last_commit_sha"]) for file in result["files"]] == [("src/a.rs", filled.first)]
    assert result["has_more"]
    rest = await filled.list_files_with_metadata(ref=filled.first, path="src", cursor=result["next_cursor"])
    assert [file["path"] for file in rest["files"]] == ["src/lib/b.rs"]
    assert not rest["has_more"] and "next_cursor" not in rest


async def test_head_file_says_the_same(filled):
    result = await filled.list_files_with_metadata()
    for file in result["files"]:
        head = await filled.head_file(path=file["path"])
        assert head["last_commit_sha"] == file["last_commit_sha"]


@pytest.mark.parametrize(
    ("options", "status"),
    [({"ref": "nowhere"}, 404), ({"path": "nothing"}, 404), ({"ref": "nowhere", "ephemeral": True}, 400)],
    ids=str,
)
async def test_what_is_not_there(filled, options, status):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await filled.list_files_with_metadata(**options)
    assert error.value.response.status_code == status
