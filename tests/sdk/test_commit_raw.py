"""Commits as bytes on the wire: what the SDKs never send, and what a careless or hostile client does."""

import json
import socket
import threading

import pytest
from conftest import commit, new_key, private_pem
from pierre_storage import RefUpdateError
from wire import AUTHOR, chunk, encode, metadata, send

pytestmark = pytest.mark.once
MIB = 1 << 20


@pytest.fixture
def made(api):
    """The id of a fresh repository with one commit."""
    return api.create(commits=1)


def state(api, repo):
    branches = api("GET", "/repos/branches", repo).json()["branches"]
    return {b["name"]: b["head_sha"] for b in branches}


def refused(api, repo, *lines, status=400, word="invalid", **options):
    before = state(api, repo)
    response = send(api, repo, *lines, **options)
    body = response.json()
    assert response.status_code == status, response.text
    assert body["commit"] is None
    assert body["result"]["success"] is False
    assert body["result"]["status"] == word
    assert body["result"]["message"] == body["error"]
    assert state(api, repo) == before, "nothing was stored"
    return body["error"]


def test_success_is_201_with_every_field(api, made):
    response = send(api, made, metadata("x"), chunk("x", b"data"))
    assert response.status_code == 201
    body = response.json()
    assert set(body["commit"]) >= {"commit_sha", "tree_sha", "target_branch", "pack_bytes", "blob_count"}
    assert body["result"]["success"] is True
    assert body["result"]["status"] == "ok"
    assert body["result"]["new_sha"] == body["commit"]["commit_sha"]


def test_a_body_of_known_length_is_as_good_as_chunks(api, made):
    assert send(api, made, metadata("x"), chunk("x", b"1"), stream=False).status_code == 201


def test_lines_may_be_cut_anywhere(api, made):
    body = encode([metadata("x", "y"), chunk("x", b"a" * 1000, eof=False), chunk("x", b"b"), chunk("y", b"")])
    for size in (1, 7, 64):
        pieces = (body[i : i + size] for i in range(0, len(body), size))
        headers = {"Content-Type": "application/x-ndjson"}
        response = api("POST", "/repos/commit-pack", made, content=pieces, headers=headers)
        assert response.status_code == 201, response.text


def test_the_last_newline_and_carriage_returns_are_optional(api, made):
    body = encode([metadata("x"), chunk("x", b"1")])
    assert send(api, made, body.rstrip(b"\n")).status_code == 201
    assert send(api, made, body.replace(b"\n", b"\r\n")).status_code == 201
    assert send(api, made, body + b"\n\n").status_code == 201


def test_chunks_of_several_files_may_interleave(api, made):
    lines = [metadata("x", "y"), chunk("x", b"1", eof=False), chunk("y", b"2"), chunk("x", b"3")]
    assert send(api, made, *lines).status_code == 201
    assert api("GET", "/repos/file?path=file-x", made).content == b"13"
    assert api("GET", "/repos/file?path=file-y", made).content == b"2"


def test_an_empty_chunk_for_a_deletion_is_tolerated(api, made):
    files = [{"path": "file-c1", "content_id": "d", "operation": "delete"}]
    assert send(api, made, metadata(files=files), chunk("d", b"")).status_code == 201
    assert api("GET", "/repos/files", made).json()["paths"] == []


def test_two_paths_may_share_one_content(api, made):
    files = [{"path": "a", "content_id": "x"}, {"path": "b", "content_id": "x"}]
    assert send(api, made, metadata(files=files), chunk("x", b"same")).status_code == 201
    for path in ("a", "b"):
        assert api("GET", f"/repos/file?path={path}", made).content == b"same"


def test_operation_and_mode_have_defaults(api, made):
    assert send(api, made, metadata(files=[{"path": "p", "content_id": "x"}]), chunk("x", b"1")).status_code == 201


def test_unknown_fields_are_ignored(api, made):
    line = metadata("x", future_field={"a": [1]})
    line["metadata"]["files"][0]["future"] = None
    assert send(api, made, line, chunk("x", b"1")).status_code == 201


def test_an_author_timestamp_is_kept(api, made):
    line = metadata("x", author=AUTHOR | {"timestamp": "2020-02-03T04:05:06Z"})
    response = send(api, made, line, chunk("x", b"1"))
    assert response.status_code == 201, response.text


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"\n"],
        [b"not json\n"],
        [b"[]\n"],
        [b'{"metadata": \n'],
        [b"{}\n"],
        [b'{"metadata": 7}\n'],
        [b'{"metadata": {}}\n'],
        [chunk("x", b"1")],
        [metadata("x")],
        [metadata("x"), metadata("x"), chunk("x", b"1")],
        [metadata("x"), b"not json\n"],
        [metadata("x"), b'{"blob_chunk": {"content_id": "x", "data": "", "eof": tru\n'],
        [metadata("x"), {"blob_chunk": {"content_id": "x", "data": "MQ=="}}],
        [metadata("x"), {"blob_chunk": {"data": "MQ==", "eof": True}}],
        [metadata("x"), {"diff_chunk": {"data": "MQ==", "eof": True}}],
        [metadata("x"), chunk("y", b"1")],
        [metadata("x"), chunk("x", b"1"), chunk("y", b"1")],
        [metadata("x"), chunk("x", b"1"), chunk("x", b"2")],
        [metadata("x"), chunk("x", b"1", eof=False)],
        [metadata("x", "y"), chunk("x", b"1")],
        [metadata("x"), {"blob_chunk": {"content_id": "x", "data": "M", "eof": True}}],
        [metadata("x"), {"blob_chunk": {"content_id": "x", "data": "!!!!", "eof": True}}],
        [metadata("x"), {"blob_chunk": {"content_id": "x", "data": "MQ==MQ==", "eof": True}}],
        [metadata("x"), chunk("x", bytes(4 * MIB + 1))],
        [b"\xff\xfe\x00"],
        [encode([metadata("x")])[:-20]],
    ],
    ids=[
        "empty", "only-newline", "not-json", "array", "cut-metadata", "no-metadata", "metadata-number", "metadata-empty",
        "chunk-first", "no-chunks", "metadata-twice", "chunk-not-json", "chunk-cut", "chunk-without-eof",
        "chunk-without-id", "diff-chunk", "unknown-id", "second-id-unknown", "chunk-after-eof", "missing-eof",
        "missing-file", "base64-short", "base64-alphabet", "base64-joined", "chunk-too-large", "not-utf8", "cut",
    ],
)  # fmt: skip
def test_malformed_streams(api, made, lines):
    assert refused(api, made, *lines)


@pytest.mark.parametrize(
    "fields",
    [
        {"target_branch": ""}, {"target_branch": 5}, {"target_branch": "refs/heads/main"}, {"target_branch": None},
        {"target_branch": "a..b"}, {"author": {"name": "x"}}, {"author": None}, {"author": {"name": "", "email": ""}},
        {"author": {"name": "a<b>\n", "email": "x"}}, {"commit_message": 5}, {"commit_message": None},
        {"commit_message": "a\0b"}, {"files": "x"}, {"files": [{}]}, {"files": [{"path": "a"}]}, {"ephemeral": "yes"},
        {"files": [{"path": "", "content_id": "x"}]},
        {"files": [{"path": "a", "content_id": "x", "operation": "explode"}]},
        {"files": [{"path": "a", "content_id": "x", "mode": "100600"}]},
        {"files": [{"path": "a", "content_id": "x", "mode": "040000"}]},
        {"files": [{"path": "a", "content_id": "x", "mode": 100644}]},
        {"files": [{"path": "/a", "content_id": "x"}]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_malformed_metadata(api, made, fields):
    assert refused(api, made, metadata("x", **fields), chunk("x", b"1"))


@pytest.mark.parametrize("content", [b"abc", b"z" * 40, b"0" * 40, b""])
def test_a_submodule_needs_a_commit_id(api, made, content):
    files = [{"path": "sub", "content_id": "x", "operation": "upsert", "mode": "160000"}]
    assert refused(api, made, metadata(files=files), chunk("x", content))


def test_a_stale_head_answers_409_with_the_tip(api, made):
    tip = state(api, made)["main"]
    line = metadata("x", expected_head_sha="1" * 40)
    response = send(api, made, line, chunk("x", b"1"))
    assert response.status_code == 409
    result = response.json()["result"]
    assert (result["branch"], result["old_sha"], result["new_sha"]) == ("main", tip, "")
    assert result["status"] == "precondition_failed"


def test_a_missing_branch_answers_404(api, made):
    refused(api, made, metadata("x", target_branch="other"), chunk("x", b"1"), status=404, word="not_found")


@pytest.mark.parametrize(
    "scopes, claim, status, word",
    [
        (["git:read"], None, 403, "forbidden"),
        (["repo:write"], None, 403, "forbidden"),
        (["git:write"], "nothing-here", 404, "not_found"),
    ],
)
def test_refusals_before_the_body_is_read(api, made, scopes, claim, status, word):
    body = encode([metadata("x"), chunk("x", bytes(4 * MIB))])
    response = send(api, claim or made, body, scopes=scopes)
    assert response.status_code == status
    assert response.json()["result"]["status"] == word


async def test_an_early_refusal_reaches_a_client_that_is_still_sending(client, server, org):
    """Answering and closing while 40 MiB are on the way would lose the answer: the body must be drained."""
    stranger = client(key=private_pem(new_key("ES256")))
    repo = stranger.repo(id="anything")

    async def pieces():
        for _ in range(40):
            yield bytes(MIB)

    for _ in range(3):
        builder = repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR)
        with pytest.raises(RefUpdateError) as error:
            await builder.add_file("big", pieces()).send()
        assert error.value.status == "unauthorized"


async def test_a_late_refusal_reaches_a_client_that_is_still_sending(repo):
    await commit(repo, {"a": "1"})

    async def pieces():
        for _ in range(40):
            yield bytes(MIB)

    builder = repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR, expected_head_sha="1" * 40)
    with pytest.raises(RefUpdateError) as error:
        await builder.add_file("big", pieces()).send()
    assert error.value.status == "precondition_failed"
    with pytest.raises(RefUpdateError) as error:
        builder = repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR)
        await builder.add_file(".git/config", pieces()).send()
    assert error.value.status == "invalid"


def test_a_request_that_stops_halfway_stores_nothing(api, made, server):
    before = state(api, made)
    token = api.org.token(made)
    host, port = server.host.split(":")
    first = encode([metadata("x"), chunk("x", b"1", eof=False)])
    head = (
        f"POST /api/v1/repos/commit-pack HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(first), first))
    assert state(api, made) == before
    assert send(api, made, metadata("x"), chunk("x", b"1")).status_code == 201


def test_many_files_in_one_metadata_line(api, made):
    """The metadata line has one entry per file and no fixed bound: 20,000 deletions and additions are 3 MB."""
    files = [{"path": f"d{n % 100}/f{n}", "content_id": f"c{n}", "operation": "upsert"} for n in range(20_000)]
    lines = [metadata(files=files)] + [chunk(f["content_id"], b"") for f in files]
    response = send(api, made, *lines)
    assert response.status_code == 201, response.text
    assert response.json()["commit"]["blob_count"] == 20_000
    # Cap the check: the listing is paginated only when asked.
    page = api("GET", "/repos/files?limit=5&path=d7", made).json()
    assert len(page["paths"]) == 5


def test_the_content_type_does_not_matter(api, made):
    for kind in ("application/x-ndjson; charset=utf-8", "application/json", "application/octet-stream"):
        response = send(api, made, metadata("x"), chunk("x", b"1"), headers={"Content-Type": kind})
        assert response.status_code == 201, response.text


def test_two_writers_on_one_connection_each_get_their_answer(api, made):
    """Keep-alive after a refusal: the rest of a refused body must not be read as the next request."""
    results = []

    def work(n):
        for i in range(5):
            good = (n + i) % 2 == 0
            lines = [metadata("x", expected_head_sha=None if good else "1" * 40), chunk("x", b"x" * 100_000)]
            results.append((good, send(api, made, *lines).status_code))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for good, status in results if good} == {201}
    assert {status for good, status in results if not good} == {409}
