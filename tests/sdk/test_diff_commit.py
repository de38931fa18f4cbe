"""Commits from diffs through the SDK."""

import base64
import subprocess

import pytest
from conftest import commit, read
from pierre_storage import RefUpdateError
from wire import AUTHOR

ZERO = "0" * 40
GUIDE = """\
--- a/docs/README.md
+++ b/docs/README.md
@@
-Old line
+New line
"""


async def apply(repo, diff, branch="main", **options):
    return await repo.create_commit_from_diff(
        target_branch=branch, commit_message="Apply", diff=diff, author=AUTHOR, **options
    )


async def refused(coroutine, status, message):
    with pytest.raises(RefUpdateError) as error:
        await coroutine
    assert error.value.status == error.value.reason == status, error.value.message
    assert message in error.value.message
    return error.value


async def test_the_diff_of_the_documentation(repo):
    first = await commit(repo, {"docs/README.md": "# Title\n\nOld line\n"})
    result = await apply(repo, GUIDE, expected_head_sha=first["commit_sha"])
    assert result["ref_update"] == {
        "branch": "main",
        "old_sha": first["commit_sha"],
        "new_sha": result["commit_sha"],
    }
    assert result["blob_count"] == 1
    assert result["pack_bytes"] > 0
    assert await read(repo, "docs/README.md") == b"# Title\n\nNew line\n"


async def test_what_git_diff_writes(repo, tmp_path):
    """Text, modes, a rename, a deletion, a link and a binary file, as a program would send them: in pieces."""

    def git(*arguments):
        out = subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a", *arguments], cwd=tmp_path, check=True, capture_output=True)
        return out.stdout

    def write(path, content, mode=0o644):
        (tmp_path / path).write_bytes(content)
        (tmp_path / path).chmod(mode)

    old = {"text": b"".join(b"%d\n" % n for n in range(500)), "run": b"#!/bin/sh\n", "gone": b"x\n", "data": bytes(range(256)) * 9}
    old["moved"] = b"".join(b"line %d\n" % n for n in range(40))
    await commit(repo, old)
    git("init", "-q")
    for path, content in old.items():
        write(path, content)
    git("add", ".")
    git("commit", "-qm", "old")
    write("text", old["text"].replace(b"\n250\n", b"\nchanged\n").rstrip(b"\n"))
    write("run", old["run"] + b"exit 1\n", 0o755)
    write("data", old["data"][::-1])
    (tmp_path / "gone").unlink()
    (tmp_path / "moved").rename(tmp_path / "to")
    (tmp_path / "link").symlink_to("text")
    git("add", "-A")
    git("commit", "-qm", "new")
    diff = git("diff", "--binary", "-M", "HEAD~1", "HEAD")

    async def pieces():
        for at in range(0, len(diff), 1000):
            yield diff[at : at + 1000]

    result = await apply(repo, pieces())
    assert result["tree_sha"] == git("rev-parse", "HEAD^{tree}").decode().strip()


async def test_branches_follow_the_rules_of_commits(repo):
    new = "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1\n"
    first = await apply(repo, new)
    assert first["ref_update"]["old_sha"] == ZERO
    change = "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n"
    await refused(apply(repo, change, branch="other"), "not_found", "other")
    await apply(repo, change, branch="other", base_branch="main", expected_head_sha=first["commit_sha"])
    assert await read(repo, "a", ref="other") == b"2\n"
    await apply(repo, change, branch="preview", base_branch="main", ephemeral=True)
    assert await read(repo, "a", ref="preview", ephemeral=True) == b"2\n"
    await apply(repo, change.replace("1\n+2", "2\n+3"), branch="next", base_branch="preview", ephemeral_base=True)
    assert await read(repo, "a", ref="next") == b"3\n"
    assert await read(repo, "a") == b"1\n"


async def test_conflicts_and_bad_diffs_say_where(repo):
    first = await commit(repo, {"a": "1\n2\n3\n"})
    hunk = "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n 1\n-two\n+zwei\n"
    error = await refused(apply(repo, hunk), "conflict", "`a`: the hunk does not apply (line 3 of the patch)")
    assert error.ref_update.get("new_sha", "") == ""
    await refused(apply(repo, ""), "invalid", "empty")
    await refused(apply(repo, "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n 1\n"), "invalid", "line 5")
    await refused(apply(repo, "--- /dev/null\n+++ b/../a\n@@ -0,0 +1 @@\n+x\n"), "invalid", "../a")
    await refused(apply(repo, GUIDE, expected_head_sha="1" * 40), "precondition_failed", "main")
    assert (await repo.list_commits())["commits"][0]["sha"] == first["commit_sha"]


@pytest.mark.once
def test_a_large_diff_takes_no_more_memory_than_a_small_one(server, api):
    """200 MB in hunks that do not apply: they are received, looked through and refused."""
    repo = api.create(commits=1)
    line = b"+" + b"x" * 998 + b"\n"
    hunk = b"@@ -0,0 +1,4000 @@\n" + line * 4000

    def lines():
        yield b'{"metadata": {"target_branch": "main", "commit_message": "m", "author": {"name": "a", "email": "a"}}}\n'
        for number in range(50):
            diff = b"--- /dev/null\n+++ b/new/%d\n" % number + hunk
            if number == 49:
                diff += b"--- a/missing\n+++ b/missing\n@@ -1 +1 @@\n-x\n+y\n"
            yield b'{"diff_chunk": {"data": "' + base64.b64encode(diff) + b'", "eof": %s}}\n' % (b"true" if number == 49 else b"false")

    before = memory(server)
    answer = api("POST", "/repos/diff-commit", repo, content=lines(), headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 409
    assert "`missing`: the file does not exist" in answer.json()["error"]
    assert memory(server) - before < 80 << 20


def memory(server):
    """The most memory the server ever had, in bytes."""
    status = open(f"/proc/{server.process.pid}/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
