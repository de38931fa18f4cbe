"""Writing on the command line: `write`, `rm` and `mv`."""

import subprocess
import time

import pytest
from store import filled, store

pytestmark = pytest.mark.once


def test_write_makes_the_repository_and_its_branch(store):
    assert store("write", ":a/b.txt", "-b", "dev", input="x") == ""
    assert store("branch", "current") == "dev\n"
    assert store("cat", "dev:a/b.txt") == "x"


def test_no_create_makes_nothing(store):
    assert "not found" in store.error("write", "a", "--no-create", input="x")
    assert not store.repo.exists()
    assert "not found" in store.error("ls")
    assert not store.repo.exists()


def peak_bytes(store, *args, **streams):
    """Runs a command that has to succeed, and returns how much memory it had at most.

    What `wait4` says of it would not do: a new process takes over the peak of the one that started it.
    """
    process = subprocess.Popen([store.program, *args], env=store.env, cwd=store.folder, **streams)
    peak = 0
    while process.poll() is None:
        with open(f"/proc/{process.pid}/status") as status:
            peak = max([peak, *(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))])
        time.sleep(0.005)
    assert process.returncode == 0 and peak > 0, args
    return peak


def test_large_files_stream_both_ways(store):
    large = store.folder / "large"
    size, most = 192 << 20, 96 << 20
    with open(large, "wb") as file:
        file.truncate(size)
        file.write(b"start")
    with open(large, "rb") as file:
        assert peak_bytes(store, "write", "big", stdin=file) < most
    with open(store.folder / "back", "wb") as file:
        assert peak_bytes(store, "cat", "big", stdout=file) < most
    assert (store.folder / "back").stat().st_size == size
    assert peak_bytes(store, "cp", "large", ":copy") < most
    assert peak_bytes(store, "cmp", ":copy", "back") < most
    assert peak_bytes(store, "cp", ":copy", "again") < most
    assert store("hash", ":big") == store("hash", ":copy")


def test_passthrough_copies_its_input(store):
    assert store("write", "log.txt", "-p", input="line\n") == "line\n"
    assert store("cat", "log.txt") == "line\n"


def test_a_message_may_have_placeholders(filled):
    filled("write", "a", "-m", "Deploy {default} ({add_count})", input="x")
    assert "Deploy Write a (1)" in filled("log")
    assert "placeholder" in filled.error("write", "b", "-m", "{nonsense}", input="x").lower()
    assert "b" not in filled("ls").splitlines()


def test_writing_the_same_again_makes_no_commit(filled):
    before = filled("hash")
    filled("write", "hello.txt", input="hello world\n")
    assert filled("hash") == before


def test_many_writers_at_once_lose_nothing(store):
    store("init")
    running = [
        subprocess.Popen([store.program, "write", f"f{number}"], stdin=subprocess.PIPE, env=store.env) for number in range(16)
    ]
    for number, process in enumerate(running):
        process.stdin.write(str(number).encode())
        process.stdin.close()
    assert [process.wait(60) for process in running] == [0] * 16
    assert len(store("ls").splitlines()) == 16
    assert len(store("log").splitlines()) == 17


def test_tags_are_made_with_the_commit(filled):
    filled("write", "a", "--tag", "v1", input="1")
    assert filled("cat", "v1:a") == "1"
    before = filled("hash")
    assert "already exists" in filled.error("write", "a", "--tag", "v1", input="2")
    assert filled("hash") == before, "nothing is written for a tag that cannot be made"
    filled("write", "a", "--tag", "v1", "--force-tag", input="3")
    assert filled("cat", "v1:a") == "3"


def test_parents_are_recorded_without_merging(filled):
    filled("branch", "set", "dev")
    filled("write", "dev:d", input="d")
    filled("write", "a", "--parent", "dev", input="a")
    parents = filled.git("log", "-1", "--format=%P", "main").split()
    assert parents == [filled("hash", "main~1").strip(), filled("hash", "dev").strip()]
    assert "d" not in filled("ls").splitlines()


def test_rm_removes_files_patterns_and_folders(filled):
    assert filled("rm", "-n", "hello.txt") == "- :hello.txt\n"
    filled("rm", ":hello.txt", "-m", "Gone")
    assert "hello.txt" not in filled("ls") and "Gone" in filled("log")
    complaint = filled.error("rm", "src")
    assert "directory" in complaint and "hint: -R" in complaint
    assert filled("rm", "-n", "-R", "src").splitlines() == ["- :src/main.py", "- :src/sub/deep.txt"]
    filled("rm", "src/*.py")
    filled("rm", "-R", "src")
    assert filled("ls") == ".hidden\n"
    assert "not found" in filled.error("rm", "absent").lower()
    assert "not found" in filled.error("rm", "*.absent").lower()
    assert "invalid" in filled.error("rm", ":../x").lower()


def test_mv_renames_and_moves(filled):
    assert set(filled("mv", "-n", ":hello.txt", ":b.txt").splitlines()) == {"- :hello.txt", "+ :b.txt"}
    filled("mv", ":hello.txt", ":b.txt")
    assert filled("cat", "b.txt") == "hello world\n"
    assert "directory" in filled.error("mv", ":src", ":lib")
    filled("mv", "-R", ":src", ":lib")
    filled("mv", ":lib/*.py", ":b.txt", ":all/")
    assert filled("ls", "-R").splitlines() == [".hidden", "all/b.txt", "all/main.py", "lib/sub/deep.txt"]
    assert len(filled("log").splitlines()) == 8, "a move is one commit"


def test_mv_of_a_thing_into_itself_is_refused(filled):
    before = filled("hash")
    for args in ([":src", ":src"], [":src", "main:src/"], ["main:hello.txt", ":hello.txt"], [":src/sub", ":src"], [":*", ":src"]):
        assert "Source and destination are the same" in filled.error("mv", "-R", *args), args
    for args in ([":src", ":src/sub"], [":src", "main:src/new"], [":hello.txt", ":hello.txt/b"]):
        assert "into itself" in filled.error("mv", "-R", *args), args
    assert filled("hash") == before


def test_verbose_and_json_say_what_was_done(filled):
    done = filled.run("-v", "rm", "hello.txt")
    assert (done.stdout, done.stderr) == ("", "Removed 1 file(s)\n")
    done = filled.json("--json", "rm", "-R", "src")
    assert done["delete"] == ["src/main.py", "src/sub/deep.txt"] and done["branch"] == "main"
    assert done["commit"] == filled("hash").strip() and not done["dry_run"]
