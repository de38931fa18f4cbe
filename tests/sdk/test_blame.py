"""Blame: which commit each line came from."""

import httpx
import pytest
from conftest import commit

pytestmark = pytest.mark.sdk1


@pytest.fixture
async def started(repo):
    repo.first = (await commit(repo, {"f": "one\ntwo\nthree\n"}, message="First"))["commit_sha"]
    repo.second = (await commit(repo, {"f": "one\n2\nthree\n"}, message="Second\n\nBody"))["commit_sha"]
    return repo


async def status_of(coroutine):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await coroutine
    return error.value.response.status_code


async def test_every_line_has_its_commit(started):
    found = await started.get_blame(path="f")
    assert (found["path"], found["ref"], found["commit_sha"]) == ("f", "main", started.second)
    assert [line["commit_sha"] for line in found["lines"]] == [started.first, started.second, started.first]
    line = found["lines"][1]
    assert (line["line_number"], line["original_line_number"], line["original_path"]) == (2, 2, "f")
    assert line["summary"] == "Second" and line["author_name"] and line["author_time"].tzinfo
    assert line["previous_commit_sha"] == started.first


async def test_ranges_refs_and_moves(started):
    found = await started.get_blame(path="f", ref=started.first, ranges=["2,+1", "/three/"], detect_moves=True)
    assert [line["line_number"] for line in found["lines"]] == [2, 3]
    assert {line["commit_sha"] for line in found["lines"]} == {started.first}
    await commit(started, {"f": "0\n"}, branch="preview", base_branch="main", ephemeral=True)
    ephemeral = await started.get_blame(path="f", ref="preview", ephemeral=True)
    assert ephemeral["ref"] == "refs/namespaces/ephemeral/refs/heads/preview"


async def test_what_cannot_be_blamed(started):
    assert await status_of(started.get_blame(path="nothing")) == 404
    assert await status_of(started.get_blame(path="f", ref="nothing")) == 404
    assert await status_of(started.get_blame(path="f", ranges=["9"])) == 400
    assert await status_of(started.get_blame(path="f", ranges=["1"] * 17)) == 400
