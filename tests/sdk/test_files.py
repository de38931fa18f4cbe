"""Reading: one file with its headers, ranges and conditions; lists of files."""

import hashlib

import httpx
import pytest
from conftest import commit, read

MIB = 1 << 20


def blob_sha(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


async def status_of(coroutine):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await coroutine
    return error.value.response.status_code


@pytest.fixture
async def filled(repo):
    """A repository with a few files; `repo.first` and `repo.second` are its commits."""
    first = await commit(repo, {"README.md": "one\n", "src/main.rs": "fn main() {}\n", "src/lib/a.rs": "a", "z": "z"})
    second = await commit(repo, {"README.md": "two\n"})
    repo.first, repo.second = first["commit_sha"], second["commit_sha"]
    return repo


async def test_a_file_is_read_at_the_default_branch_a_branch_and_a_commit(filled):
    assert await read(filled, "README.md") == b"two\n"
    assert await read(filled, "README.md", ref="main") == b"two\n"
    assert await read(filled, "README.md", ref="refs/heads/main") == b"two\n"
    assert await read(filled, "README.md", ref=filled.first) == b"one\n"
    assert await read(filled, "README.md", ref=filled.first[:12]) == b"one\n"
    assert await read(filled, "src/lib/a.rs", ephemeral=False) == b"a"


@pytest.mark.parametrize(
    "options",
    [
        {"path": "nothing"}, {"path": "src/nothing"}, {"path": "README.md/x"}, {"path": "src"},
        {"path": "README.md", "ref": "nowhere"}, {"path": "README.md", "ref": "1" * 40},
        {"path": "README.md", "ref": "main", "ephemeral": True},
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_not_there_is_not_found(filled, options):
    assert await status_of(filled.get_file_stream(**options)) == 404


@pytest.mark.parametrize("path", ["../x", "a//b", "a/../b", "."])
async def test_a_path_that_is_no_path_is_refused(filled, path):
    assert await status_of(filled.get_file_stream(path=path)) == 400


async def test_an_empty_repository_has_nothing(repo):
    assert await status_of(repo.get_file_stream(path="a")) == 404
    assert await status_of(repo.list_files()) == 404


async def test_an_unknown_repository_is_not_found(repo):
    repo._id += "-nothing"
    assert await status_of(repo.get_file_stream(path="a")) == 404
    assert await status_of(repo.list_files()) == 404


async def test_a_large_binary_file_streams(repo):
    content = bytes(range(256)) * (20 * MIB // 256) + b"end"
    await commit(repo, {"big.bin": content})
    response = await repo.get_file_stream(path="big.bin")
    assert response.headers["content-type"] == "application/octet-stream"
    assert int(response.headers["content-length"]) == len(content)
    digest, size = hashlib.sha256(), 0
    async for piece in response.aiter_bytes():
        digest.update(piece)
        size += len(piece)
    await response.aclose()
    assert (size, digest.hexdigest()) == (len(content), hashlib.sha256(content).hexdigest())


async def test_headers_say_what_the_file_is(filled):
    response = await filled.get_file_stream(path="README.md")
    headers = response.headers
    assert headers["etag"] == '"' + blob_sha(b"two\n") + '"'
    assert headers["x-blob-sha"] == blob_sha(b"two\n")
    assert headers["x-last-commit-sha"] == filled.second
    assert headers["last-modified"].endswith(" GMT")
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-length"] == "4"
    older = await filled.get_file_stream(path="z")
    assert older.headers["x-last-commit-sha"] == filled.first


@pytest.mark.sdk1
@pytest.mark.parametrize(
    "wanted, status, body, content_range",
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=x-y", 200, b"0123456789", None),
    ],
)
async def test_ranges(repo, wanted, status, body, content_range):
    await commit(repo, {"digits": "0123456789"})
    response = await repo.get_file_stream(path="digits", headers={"range": wanted})
    content = await response.aread()
    assert response.status_code == status
    if body is not None:
        assert content == body
    assert response.headers.get("content-range") == content_range
    await response.aclose()
    head = await repo.head_file(path="digits", headers={"range": wanted})
    assert head["status_code"] in (status, 200)


@pytest.mark.sdk1
async def test_a_range_of_a_large_file(repo):
    content = b"".join(b"%07d\n" % n for n in range(1_000_000))
    await commit(repo, {"numbers": content})
    response = await repo.get_file_stream(path="numbers", headers={"range": "bytes=7999992-7999999"})
    assert await response.aread() == b"0999999\n"
    await response.aclose()


@pytest.mark.sdk1
async def test_conditions(filled):
    tag = '"' + blob_sha(b"two\n") + '"'
    modified = (await filled.head_file(path="README.md"))["raw_last_modified"]
    past, future = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for headers, status in [
        ({"if_none_match": tag}, 304),
        ({"if_none_match": f'"other", {tag}'}, 304),
        ({"if_none_match": f"W/{tag}"}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"other"'}, 200),
        ({"if_match": tag}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": '"other"'}, 412),
        ({"if_match": f"W/{tag}"}, 412),
        ({"if_modified_since": modified}, 304),
        ({"if_modified_since": past}, 200),
        ({"if_modified_since": "not a date"}, 200),
        ({"if_unmodified_since": modified}, 200),
        ({"if_unmodified_since": past}, 412),
        ({"if_none_match": '"other"', "if_modified_since": future}, 200),
        ({"if_match": tag, "if_unmodified_since": past}, 200),
        ({"if_range": tag, "range": "bytes=0-0"}, 206),
        ({"if_range": '"other"', "range": "bytes=0-0"}, 200),
        ({"if_none_match": tag, "range": "bytes=0-0"}, 304),
    ]:
        response = await filled.get_file_stream(path="README.md", headers=headers)
        await response.aread()
        assert response.status_code == status, headers
        if status == 304:
            assert response.headers["etag"] == tag
        await response.aclose()
        assert (await filled.head_file(path="README.md", headers=headers))["status_code"] == status, headers


@pytest.mark.sdk1
async def test_head_tells_what_get_would(filled):
    head = await filled.head_file(path="src/main.rs")
    assert head["status_code"] == 200
    assert head["size"] == 13
    assert head["blob_sha"] == blob_sha(b"fn main() {}\n")
    assert head["etag"] == f'"{head["blob_sha"]}"'
    assert head["last_commit_sha"] == filled.first
    assert head["accept_ranges"] == "bytes"
    assert head["content_type"] == "application/octet-stream"
    assert head["last_modified"].year >= 2024
    with pytest.raises(httpx.HTTPStatusError) as error:
        await filled.head_file(path="nothing")
    assert error.value.response.status_code == 404


async def test_the_list_is_recursive_sorted_and_names_its_ref(filled):
    listed = await filled.list_files()
    assert listed["paths"] == ["README.md", "src/lib/a.rs", "src/main.rs", "z"]
    assert listed["ref"] == "main"
    assert (await filled.list_files(ref="main"))["ref"] == "main"
    assert (await filled.list_files(ref=filled.first))["paths"] == listed["paths"]


async def test_an_ephemeral_list_names_the_full_ref(filled):
    await commit(filled, {"new": "1"}, branch="preview", base_branch="main", ephemeral=True)
    listed = await filled.list_files(ref="preview", ephemeral=True)
    assert listed["ref"] == "refs/namespaces/ephemeral/refs/heads/preview"
    assert "new" in listed["paths"]
    assert await read(filled, "new", ref="preview", ephemeral=True) == b"1"
    assert await status_of(filled.list_files(ref="preview")) == 404
    assert await status_of(filled.list_files(ref="main", ephemeral=True)) == 404


async def test_an_unknown_ref_is_not_found(filled):
    assert await status_of(filled.list_files(ref="nowhere")) == 404


@pytest.mark.sdk1
async def test_a_folder_alone(filled):
    assert (await filled.list_files(path="src"))["paths"] == ["src/lib/a.rs", "src/main.rs"]
    assert (await filled.list_files(path="src/lib"))["paths"] == ["src/lib/a.rs"]
    assert (await filled.list_files(path="src/"))["paths"] == ["src/lib/a.rs", "src/main.rs"]
    for path in ("nothing", "README.md/x"):
        assert await status_of(filled.list_files(path=path)) == 404


@pytest.mark.sdk1
async def test_one_level(filled):
    listed = await filled.list_files(recursive=False)
    kinds = {e["path"]: (e["type"], e["mode"]) for e in listed["entries"]}
    assert kinds == {"README.md": ("blob", "100644"), "src": ("tree", "040000"), "z": ("blob", "100644")}
    assert listed["paths"] == ["README.md", "z"]
    below = await filled.list_files(path="src", recursive=False)
    assert [e["path"] for e in below["entries"]] == ["src/lib", "src/main.rs"]


@pytest.mark.sdk1
async def test_pages_cover_everything_once(repo):
    # Byte order and Git's tree order differ around folders: a.b < a/ < a0.
    files = {f"dir/{n:03}": "x" for n in range(40)} | {p: "x" for p in ("dir.txt", "dir0", "a", "a.b", "a-b", "z/z/z")}
    await commit(repo, files)
    for limit in (1, 7, 45, 46, 5000):
        seen, cursor, rounds = [], None, 0
        while True:
            page = await repo.list_files(limit=limit, cursor=cursor)
            assert len(page["paths"]) <= limit
            seen += page["paths"]
            rounds += 1
            if not page["has_more"]:
                assert "next_cursor" not in page
                break
            cursor = page["next_cursor"]
        assert len(seen) == len(set(seen)) == len(files)
        assert set(seen) == set(files)
        assert rounds == max(1, -(-len(files) // limit))
    everything = await repo.list_files()
    assert set(everything["paths"]) == set(files)
    assert everything["has_more"] is False


@pytest.mark.sdk1
async def test_pages_below_a_folder(repo):
    await commit(repo, {f"a/{n}": "x" for n in range(9)} | {"b": "x"})
    first = await repo.list_files(path="a", limit=5)
    rest = await repo.list_files(path="a", limit=5, cursor=first["next_cursor"])
    assert first["paths"] + rest["paths"] == [f"a/{n}" for n in range(9)]


@pytest.mark.once
@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=x", "recursive=maybe", "ephemeral=1", "path=../x", "path=a//b"]
)
def test_bad_queries(api, query):
    response = api("GET", f"/repos/files?{query}", api.create())
    assert response.status_code == 400, response.text
    assert response.json()["code"] == "invalid"
