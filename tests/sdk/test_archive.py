"""Archives through the SDK, and as any client gets them."""

import io
import tarfile
import zipfile

import pytest
from conftest import commit, create_branch
from pierre_storage.types import GitFileMode
from wire import AUTHOR

FILES = {"README.md": "# Hello\n", "src/a.py": "print()\n", "src/deep/b.py": "x = 1\n", "vendor/big": "x" * 3000}


@pytest.fixture
async def filled(repo):
    await commit(repo, FILES)
    builder = repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR)
    await (
        builder.add_file("run.sh", b"#!/bin/sh\n", mode=GitFileMode.EXECUTABLE)
        .add_file("link", b"README.md", mode=GitFileMode.SYMLINK)
        .send()
    )
    return repo


async def members(repo, **options):
    response = await repo.get_archive_stream(**options)
    assert response.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in response.headers
    data = await response.aread()
    await response.aclose()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return {member.name: member for member in archive if not member.isdir()}, data


@pytest.mark.sdk1
async def test_everything_with_modes_and_the_time_of_the_commit(filled):
    found, data = await members(filled)
    assert set(found) == {*FILES, "run.sh", "link"}
    assert found["link"].issym() and found["link"].linkname == "README.md"
    assert found["run.sh"].mode & 0o111 and not found["README.md"].mode & 0o111
    assert found["vendor/big"].size == 3000
    newest = (await filled.list_commits())["commits"][0]
    assert found["README.md"].mtime == int(newest["date"].timestamp())
    assert (await members(filled, ref=newest["sha"]))[1] == data


@pytest.mark.sdk1
async def test_globs_size_and_prefix(filled):
    found, _ = await members(
        filled, ref="main", include_globs=["README.md"], exclude_globs=["vendor/**"], max_blob_size=1024, archive_prefix="repo/"
    )
    assert list(found) == ["repo/README.md"]
    assert set((await members(filled, include_globs=["src/**"], exclude_globs=["deep/"]))[0]) == {"src/a.py"}
    assert "vendor/big" not in (await members(filled, max_blob_size=2999))[0]


@pytest.mark.sdk1
async def test_other_branches(filled):
    await create_branch(filled, "main", "other")
    await commit(filled, {"only/here": "x"}, branch="other")
    assert "only/here" in (await members(filled, ref="other"))[0]
    assert "only/here" not in (await members(filled))[0]


@pytest.mark.once
def test_a_zip_and_a_request_without_a_body(api):
    repo = api.create(commits=2)
    answer = api("POST", "/repos/archive", repo, json={"archive": {"format": "zip", "prefix": "p/"}})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.read("p/file-c1") == b"1"
    plain = api("POST", "/repos/archive", repo)
    assert (plain.status_code, plain.request.headers.get("content-type")) == (200, None)
    with tarfile.open(fileobj=io.BytesIO(plain.content), mode="r:gz") as archive:
        assert archive.getnames() == ["file-c1"]
    assert api("POST", "/repos/archive", repo, json={"ref": "nowhere"}).status_code == 404
    assert api("POST", "/repos/archive", api.create()).status_code == 404
