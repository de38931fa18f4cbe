"""Diffs of a million hunks: applied or refused in bounded time and memory, and nothing half done."""

import base64
import time

import pytest
from test_diff_commit import memory

pytestmark = pytest.mark.once

HUNKS = 1_000_000
# For a debug build on a busy machine; the work is a few seconds of one core.
LONGEST_SECONDS = 120
# Of the old file and the new one with their lines, and what is held of the diff.
MOST_BYTES = 768 << 20
CHUNK_BYTES = 4 << 20
FIRST_LINE = b'{"metadata": {"target_branch": "main", "commit_message": "m", "author": {"name": "a", "email": "a"}}}\n'


def old_file():
    """Three lines for each hunk, of which two are found once in the file."""
    return b"".join(b"%x\nkept\nend %x\n" % (number, number) for number in range(HUNKS))


def in_lines(diff):
    """The body of the request, in chunks as large as they may be."""
    yield FIRST_LINE
    for at in range(0, len(diff), CHUNK_BYTES):
        chunk = base64.b64encode(diff[at : at + CHUNK_BYTES])
        eof = b"true" if at + CHUNK_BYTES >= len(diff) else b"false"
        yield b'{"diff_chunk": {"data": "' + chunk + b'", "eof": ' + eof + b"}}\n"


def patch(hunk):
    return b"--- a/big\n+++ b/big\n" + b"".join(map(hunk, range(HUNKS)))


def fitting(number):
    line = 3 * number + 1
    return b"@@ -%d,3 +%d,3 @@\n %x\n-kept\n+new\n end %x\n" % (line, line, number, number)


def fitting_but_for_the_last(number):
    return fitting(number) if number + 1 < HUNKS else fitting(number).replace(b"-kept", b"-gone")


def backwards(number):
    """From the end of the file to its beginning, which Git takes too."""
    return fitting(HUNKS - 1 - number)


def without_context(number):
    """One line that is everywhere, and nothing around it: to Git, that is the whole file."""
    return b"@@ -%d +%d @@\n-kept\n+new\n" % (3 * number + 2, 3 * number + 2)


@pytest.fixture(scope="module")
def big(api):
    """A repository with one file of three million lines."""
    repo = api.create()
    body = (
        b'{"metadata": {"target_branch": "main", "commit_message": "m", "author": {"name": "a", "email": "a"}, '
        b'"files": [{"path": "big", "content_id": "1"}]}}\n'
    )
    data = old_file()
    for at in range(0, len(data), CHUNK_BYTES):
        eof = b"true" if at + CHUNK_BYTES >= len(data) else b"false"
        chunk = base64.b64encode(data[at : at + CHUNK_BYTES])
        body += b'{"blob_chunk": {"content_id": "1", "data": "' + chunk + b'", "eof": ' + eof + b"}}\n"
    made = api("POST", "/repos/commit-pack", repo, content=body)
    assert made.status_code == 201, made.text
    return repo


def send(server, api, repo, diff):
    """The answer, if it came in time and without too much memory."""
    before, began = memory(server), time.monotonic()
    answer = api("POST", "/repos/diff-commit", repo, content=in_lines(diff), timeout=LONGEST_SECONDS)
    took, grown = time.monotonic() - began, memory(server) - before
    print(f"{answer.status_code} in {took:.1f} s, {grown >> 20} MiB more")
    assert took < LONGEST_SECONDS
    assert grown < MOST_BYTES
    return answer


@pytest.mark.parametrize("hunk", [fitting, backwards])
def test_a_million_hunks_are_one_commit(server, api, big, hunk):
    answer = send(server, api, big, patch(hunk))
    assert answer.status_code == 201, answer.text
    head = answer.json()["commit"]["commit_sha"]
    expected = old_file().replace(b"kept", b"new")
    assert api("GET", "/repos/file", big, params={"path": "big"}).content == expected
    # Back to where it was, for whoever comes next.
    old = api("GET", "/repos/commits", big).json()["commits"][1]["sha"]
    metadata = {
        "target_branch": "main", "target_commit_sha": old, "expected_head_sha": head,
        "author": {"name": "a", "email": "a"},
    }  # fmt: skip
    assert api("POST", "/repos/restore-commit", big, json={"metadata": metadata}).status_code == 201


@pytest.mark.parametrize("hunk", [fitting_but_for_the_last, without_context])
def test_a_million_hunks_that_do_not_all_apply_change_nothing(server, api, big, hunk):
    before = api("GET", "/repos/branches", big).json()
    answer = send(server, api, big, patch(hunk))
    result = answer.json()["result"]
    assert (answer.status_code, result["status"], result["success"]) == (409, "conflict", False), answer.text
    assert "`big`" in result["message"] and "line" in result["message"]
    assert api("GET", "/repos/branches", big).json() == before


def test_a_million_files_are_refused(server, api, big):
    diff = b"".join(b"--- /dev/null\n+++ b/%d\n@@ -0,0 +1 @@\n+x\n" % number for number in range(HUNKS))
    before = api("GET", "/repos/branches", big).json()
    answer = send(server, api, big, diff)
    assert answer.status_code in (400, 413), answer.text
    assert api("GET", "/repos/branches", big).json() == before
