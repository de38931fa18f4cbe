"""The command line of embedded stores: reading, writing, history, refs, and what it says when something is wrong."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import resource
import select
import stat
import struct
import subprocess
import tarfile
import termios
import time
import zipfile

import pytest
from binary import run
from store import Gitstore, environment

pytestmark = pytest.mark.once


@pytest.fixture
def store(tmp_path):
    made = Gitstore(tmp_path)
    yield made
    if (made.repo / "HEAD").exists():
        made.check()


@pytest.fixture
def filled(store):
    """A repository with a few files, each from a commit of its own."""
    store("write", "hello.txt", input="hello world\n")
    store("write", "src/main.py", input="print()\n")
    store("write", "src/sub/deep.txt", input="deep\n")
    store("write", ".hidden", input="h\n")
    return store


# the repository


def test_init_makes_a_repository_once(store):
    assert store("init", "-b", "trunk") == ""
    assert store("branch") == "trunk\n"
    assert "already exists" in store.error("init")
    store("write", "a", input="a")
    store("init", "--force")
    assert store("ls") == "" and store("branch", "current") == "main\n"


def test_init_force_removes_no_folder_that_is_no_repository(store):
    kept = store.file("data.git/precious.txt", "mine")
    store.error("init", "-f")
    assert kept.read_text() == "mine"


def test_init_force_keeps_the_repository_until_there_is_a_new_one(store):
    store("write", "precious", input="mine")
    assert "nvalid" in store.error("init", "-f", "-b", "a..b")
    assert store("cat", "precious") == "mine"
    assert sorted(os.listdir(store.folder)) == ["bin", "data.git"]


def test_a_new_repository_goes_again_if_the_work_fails(store):
    store.file("bad.zip", "this is not a zip")
    store.file("bad.bundle", "this is not a bundle")
    store.file("src/.git/HEAD", "no name for a store")
    with zipfile.ZipFile(store.folder / "empty.zip", "w"):
        pass
    with tarfile.open(store.folder / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("ok.txt"))
        archive.addfile(tarfile.TarInfo("../escape"))
    with zipfile.ZipFile(store.folder / "good.zip", "w") as archive:
        archive.writestr("a", "a")
    before = sorted(os.listdir(store.folder))
    for args in (
        ["archive_in", "bad.zip"],
        ["archive_in", "empty.zip"],
        ["archive_in", "good.zip", "-m", "{nonsense}"],
        ["archive_in", "good.zip", "--parent", "absent"],
        ["archive_in", "good.zip", "--tag", "no name"],
        ["unzip", "evil.tar"],
        ["untar", "evil.tar"],
        ["untar"],
        ["write", "a", "-m", "{nonsense}"],
        ["write", "a", "--tag", "a..b"],
        ["write", "a/.git/b"],
        ["cp", "absent", ":"],
        ["cp", "src", ":"],
        ["cp", "src/*.zzz", ":"],
        ["cp", "bad.zip", ":a", "-m", "{nonsense}"],
        ["cp", "--ignore-errors", "absent", "absent/too", ":"],
        ["cp", "--exclude-from", "absent", "src/", ":"],
        ["sync", "bad.zip"],
        ["sync", "src"],
        ["sync", "--watch", "absent"],
        ["restore", "absent.git"],
        ["restore", "bad.bundle"],
        ["restore", "http://127.0.0.1:1/x.git"],
    ):
        store.error(*args, input="")
        assert sorted(os.listdir(store.folder)) == before, args
    store.error("-r", "new/deep/data.git", "archive_in", "bad.zip")
    assert sorted(os.listdir(store.folder)) == before
    store.repo.mkdir()
    store.error("archive_in", "bad.zip")
    assert os.listdir(store.repo) == []
    told = store.run("-v", "archive_in", "bad.zip").stderr
    assert told.index("Initialized ") < told.index("Removed ") < told.index("Error: ")
    # What was written stays, whatever comes after it.
    done = store.run("cp", "--ignore-errors", "bad.zip", "absent", ":")
    assert done.returncode == 1 and store("ls") == "bad.zip\n"


def test_a_repository_without_branches_waits_for_the_one_of_its_head(store):
    for first in ("trunk", "other"):
        subprocess.run(["git", "init", "-q", "--bare", "-b", "trunk", store.repo], check=True)
        complaint = store.error("ls")
        assert "Branch not found: trunk" in complaint and "`branch set trunk --empty`" in complaint
        store("branch", "set", first, "--empty")
        assert store("branch", "current") == f"{first}\n"
        store("write", "a", input="a")
        assert store("ls") == "a\n"
        store("destroy", "-f")


def test_destroy_needs_force_for_data(filled):
    assert "not empty" in filled.error("destroy")
    filled("destroy", "-f")
    assert not filled.repo.exists()
    assert "not found" in filled.error("destroy")


def test_destroy_without_force_loses_nothing(store):
    def holding(what, *, gone=()):
        assert what in store.error("destroy"), what
        assert store.repo.is_dir()
        for args in gone:
            store(*args)

    store("write", "a", input="a")
    store("rm", "a")
    holding("history of the branch 'main'", gone=[("destroy", "-f"), ("init",)])
    store("write", "a", input="a")
    store("undo")
    holding("history of the branch 'main'", gone=[("destroy", "-f"), ("init",)])
    store("branch", "set", "other")
    store("note", "set", "main:", "text")
    holding("notes", gone=[("note", "delete", "main:"), ("destroy", "-f"), ("init",)])
    mine = store.file("data.git/mine.txt", "mine")
    holding("'mine.txt'")
    assert mine.read_text() == "mine"
    mine.unlink()
    store("destroy")
    assert not store.repo.exists()


def test_a_working_copy_is_not_destroyed(store):
    work = store.folder / "work"
    subprocess.run(["git", "init", "-q", work], check=True, env=environment())
    mine = store.file("work/mine.txt", "mine")
    for path in work, work / ".git":
        for args in [], ["-f"]:
            refused = store.error("-r", path, "destroy", *args)
            assert f"{work / '.git'} is the repository of a working copy" in refused
    assert (work / ".git" / "HEAD").exists() and mine.read_text() == "mine"


def test_a_shallow_clone_is_destroyed(filled):
    filled.git("clone", "-q", "--bare", "--depth=1", f"file://{filled.repo}", filled.folder / "shallow.git")
    filled("-r", "shallow.git", "destroy", "-f")
    assert not (filled.folder / "shallow.git").exists()


def test_a_link_to_a_repository_is_the_repository(store):
    link = store.folder / "link.git"
    link.symlink_to("data.git")
    store("write", "a", input="a")
    store("-r", "link.git", "init", "-f")
    assert link.is_symlink() and store("ls") == "" and store("-r", "link.git", "ls") == ""
    store("-r", "link.git", "destroy")
    assert not link.is_symlink() and not store.repo.exists()


def test_an_empty_repository_is_destroyed_without_force(store):
    store("init")
    store("destroy")
    assert not store.repo.exists()


def test_the_repository_is_named_by_option_or_variable(filled, tmp_path):
    nowhere = environment()
    assert "No repository specified. Use --repo or set GITSTORE_REPO." in filled.error("ls", env=nowhere)
    for variable in ("PACKHOUSE_REPO", "GITSTORE_REPO", "VOST_REPO"):
        assert "hello.txt" in filled("ls", env=environment(**{variable: str(filled.repo)}))
    elsewhere = environment(GITSTORE_REPO=str(tmp_path / "nowhere"))
    for args in (["-r", filled.repo, "ls"], ["ls", "--repo", filled.repo], ["ls", f"-r{filled.repo}"]):
        assert "hello.txt" in filled(*args, env=elsewhere)
    for args in (["branch", "-r", filled.repo, "list"], ["branch", "list", "-r", filled.repo]):
        assert filled(*args, env=elsewhere) == "main\n"
    assert "not found" in filled.error("ls", env=elsewhere)


def test_packhouse_store_is_the_same(filled):
    assert run("store", "-r", filled.repo, "cat", "hello.txt").stdout == "hello world\n"
    assert json.loads(run("store", "-r", filled.repo, "--json", "ls").stdout) == [".hidden", "hello.txt", "src"]
    failed = run("store", "-r", filled.repo, "cat", "absent", check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "Error: File not found: absent\n"


def test_usage_errors_exit_with_2_and_a_hint(store):
    for args in ([], ["nonsense"], ["cat"], ["ls", "--format", "xml"], ["cmp", "a"], ["undo", "many"]):
        complaint = store.fails(*args, status=2)
        assert complaint.rstrip().splitlines()[-1].startswith("hint: "), complaint
    assert store.fails("nonsense", status=2).startswith("Error: ")
    assert run("store", "nonsense", check=False).stderr.startswith("Error: ")
    assert re.fullmatch(r"gitstore \d+\.\d+\.\d+\n", store("--version"))


def test_completions_name_the_commands(store):
    for shell in ("bash", "zsh", "fish"):
        assert "archive" in store("completions", shell) and "gitstore" in store("completions", shell)
    assert "store" in run("completions", "bash").stdout


# ls, cat, hash


def test_ls_lists_folders_files_and_patterns(filled):
    assert filled("ls").splitlines() == [".hidden", "hello.txt", "src"]
    assert filled("ls", ":") == filled("ls")
    assert filled("ls", "src").splitlines() == ["main.py", "sub"]
    assert filled("ls", ":src/").splitlines() == ["main.py", "sub"]
    assert filled("ls", "hello.txt") == "hello.txt\n"
    assert filled("ls", "*").splitlines() == ["hello.txt", "src"]
    assert filled("ls", ".*") == ".hidden\n"
    assert filled("ls", ":src/*.py", "src/m*") == "src/main.py\n"
    assert filled("ls", "*.zzz") == ""
    assert filled("ls", "hello.txt", ":src").splitlines() == ["hello.txt", "main.py", "sub"]
    assert "not found" in filled.error("ls", "--no-glob", "*").lower()
    assert "not found" in filled.error("ls", ":src", ":absent").lower()
    assert "invalid" in filled.error("ls", ":../x").lower()


def test_ls_recursive_lists_all_files_below(filled):
    everything = [".hidden", "hello.txt", "src/main.py", "src/sub/deep.txt"]
    assert filled("ls", "-R").splitlines() == everything
    assert filled("ls", "-R", ":src", "src").splitlines() == everything[2:]
    assert filled("ls", "-R", "src/*").splitlines() == everything[2:]
    assert filled("ls", "-R", "hello.txt") == "hello.txt\n"
    assert filled.json("ls", "-R", "--format", "json") == everything


def test_ls_long_shows_ids_sizes_and_targets(filled, tmp_path):
    os.symlink("hello.txt", tmp_path / "link")
    filled("cp", "link", ":link")
    hello = filled.git("rev-parse", "main:hello.txt").strip()
    lines = filled("ls", "-l").splitlines()
    assert f"{hello[:7]}  12  hello.txt" in lines
    assert any(line.endswith("  link -> hello.txt") for line in lines)
    assert any(re.fullmatch(r"[0-9a-f]{7}      src/", line) for line in lines), lines
    assert hello in filled("ls", "-l", "--full-hash")
    entries = {entry["name"]: entry for entry in filled.json("ls", "-l", "--format", "json")}
    assert entries["hello.txt"] == {"name": "hello.txt", "hash": hello, "size": 12, "type": "blob"}
    assert entries["link"]["target"] == "hello.txt" and entries["link"]["type"] == "link"
    assert entries["src/"]["type"] == "tree" and "size" not in entries["src/"]
    lines = filled("ls", "-l", "--format", "jsonl").splitlines()
    assert [json.loads(line)["name"] for line in lines] == sorted(entries)


def test_cat_concatenates_bytes(filled):
    filled("write", "bin", input=bytes(range(256)), text=False)
    assert filled("cat", "bin", "hello.txt", text=False) == bytes(range(256)) + b"hello world\n"
    assert "not found" in filled.error("cat", "absent", "hello.txt").lower()
    assert "directory" in filled.error("cat", "src").lower()
    assert "empty" in filled.error("cat", ":").lower()


def test_file_names_may_be_any_bytes(filled):
    name = b"caf\xe9\n\x01"
    filled("write", b":" + name, input="x")
    assert name in filled("ls", text=False)
    assert filled("cat", b":" + name) == "x"
    filled("rm", b":" + name)
    assert name not in filled("ls", text=False)


def test_hash_prints_ids(filled):
    rev = lambda name: filled.git("rev-parse", name)  # noqa: E731
    assert filled("hash") == rev("main") == filled("hash", "main") == filled("hash", "main:")
    assert filled("hash", "~2") == rev("main~2")
    assert filled("hash", ":hello.txt") == rev("main:hello.txt")
    assert filled("hash", "main~1:src") == rev("main~1:src")
    assert filled.json("hash", "--format", "json")["type"] == "commit"
    assert filled.json("hash", ":src", "--format", "json")["type"] == "tree"
    assert filled.json("hash", ":hello.txt", "--format", "json") == {
        "hash": rev("main:hello.txt").strip(), "type": "blob", "path": "hello.txt"
    }  # fmt: skip


# ref:path


def test_refs_in_paths_choose_commits(filled):
    filled("branch", "set", "dev")
    filled("tag", "set", "v1")
    filled("write", "dev:hello.txt", input="dev\n")
    assert filled("cat", "main:hello.txt", "dev:hello.txt", "v1:hello.txt") == "hello world\ndev\nhello world\n"
    assert filled("cat", "dev~1:hello.txt") == "hello world\n"
    assert filled("cat", ":hello.txt", "-b", "dev") == "dev\n"
    assert filled("cat", "hello.txt", "--ref", "v1") == "hello world\n"
    short = filled("hash", "v1")[:8]
    assert filled("cat", f"{short}:hello.txt") == "hello world\n"
    assert "Unknown ref" in filled.error("cat", "absent:hello.txt")
    assert "not a commit" in filled.error("ls", "--ref", filled("hash", ":src").strip()).lower()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["ls", "main:", "-b", "dev"], "-b"),
        (["cat", "main:hello.txt", "--ref", "dev"], "--ref"),
        (["log", "main:", "--ref", "main"], "--ref"),
        (["diff", "dev:", "-b", "main"], "-b"),
        (["cat", "~1:hello.txt", "--back", "1"], "--back"),
        (["ls", "main:", "dev:", "--back", "1"], "different refs"),
        (["ls", "main~0:"], "~0"),
        (["ls", "main~x:"], "positive integer"),
        (["write", "~1:a"], "historical"),
        (["write", "v1:a"], "tag"),
        (["rm", "main:hello.txt", "dev:hello.txt"], "same branch"),
        (["mv", "hello.txt", ":b"], "':'"),
        (["mv", ":a"], "at least two"),
        (["write", "absent:a"], "Branch not found"),
        (["log", ":a", "--path", "b"], "--path"),
        (["ls", "--before", "yesterday"], "ISO 8601"),
        (["ls", "--match", "nothing*"], "No matching commits found"),
        (["ls", "--back", "99"], "history too short"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(filled, args, says):
    filled("branch", "set", "dev")
    filled("tag", "set", "v1")
    before = filled("hash"), filled("hash", "dev")
    assert says in filled.error(*args, input="")
    assert (filled("hash"), filled("hash", "dev")) == before


def test_filters_choose_the_newest_commit_that_matches(filled):
    assert filled("ls", "--path", "hello.txt") == "hello.txt\n"
    assert filled("ls", "--match", "*main.py").splitlines() == ["hello.txt", "src"]
    assert filled("ls", "--match", "*main.py", "--back", "1") == "hello.txt\n"
    assert filled("ls", "main:", "--back", "3") == "hello.txt\n"
    assert "No matching" in filled.error("ls", "--before", "2001-01-01")
    assert filled("ls", "--before", "2999-01-01") == filled("ls")


# write, rm, mv


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


def test_verbose_and_json_say_what_was_done(filled):
    done = filled.run("-v", "rm", "hello.txt")
    assert (done.stdout, done.stderr) == ("", "Removed 1 file(s)\n")
    done = filled.json("--json", "rm", "-R", "src")
    assert done["delete"] == ["src/main.py", "src/sub/deep.txt"] and done["branch"] == "main"
    assert done["commit"] == filled("hash").strip() and not done["dry_run"]


# history


def test_log_lists_commits_newest_first(filled):
    lines = filled("log").splitlines()
    assert len(lines) == 5
    assert re.fullmatch(r"[0-9a-f]{7}  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00  Write \.hidden", lines[0]), lines[0]
    assert lines[-1].endswith("  Initialize main")
    entry = filled.json("log", "--format", "json")[0]
    assert set(entry) == {"hash", "message", "time", "author_name", "author_email", "branch"}
    assert entry["hash"] == filled("hash").strip() and entry["branch"] == "main"
    hashes = [json.loads(line)["hash"] for line in filled("log", "--format", "jsonl").splitlines()]
    assert hashes == filled.git("log", "--format=%H", "main").split()


def test_log_takes_paths_and_refs(filled):
    filled("branch", "set", "dev", "--back", "2")
    only = filled("log", "--path", "src")
    assert len(only.splitlines()) == 2
    assert filled("log", "src") == filled("log", ":src") == filled("log", "main:src") == only
    assert len(filled("log", "~3:").splitlines()) == 2 == len(filled("log", "--back", "3").splitlines())
    assert filled("log", "dev") == filled("log", "--ref", "dev") == filled("log", "main~2:")
    assert filled("log", "--match", "*hello*").count("\n") == 1
    assert filled("log", "absent") == ""
    assert "invalid" in filled.error("log", "--path", "../x").lower()


def test_diff_compares_the_branch_with_a_baseline(filled):
    filled("write", "hello.txt", input="changed\n")
    filled("rm", ".hidden")
    assert filled("diff", "~2").splitlines() == ["D  .hidden", "M  hello.txt"]
    assert filled("diff", "--back", "2") == filled("diff", "main~2:") == filled("diff", "~2:")
    assert filled("diff", "~2", "--reverse").splitlines() == ["A  .hidden", "M  hello.txt"]
    assert filled("diff") == "" == filled("diff", "main")
    assert filled.json("diff", "~2", "--format", "json")[1] == {"path": "hello.txt", "status": "M"}
    assert filled("diff", "main~5:src").splitlines() == ["A  src/main.py", "A  src/sub/deep.txt"]


def test_cmp_compares_stored_and_local_files(filled):
    same = filled.file("same.txt", "hello world\n")
    filled("write", "copy", input="hello world\n")
    assert filled("cmp", ":hello.txt", ":copy") == "" == filled("cmp", ":hello.txt", same) == filled("cmp", same, "~1:hello.txt")
    assert filled.fails("cmp", ":hello.txt", ":src/main.py") == ""
    verbose = filled.run("-v", "cmp", ":hello.txt", same).stderr.splitlines()
    blob = filled("hash", ":hello.txt").strip()
    assert verbose == [f"{blob}  :hello.txt", f"{blob}  {same}"]
    assert "not found" in filled.error("cmp", ":hello.txt", ":absent").lower()
    assert "not found" in filled.error("cmp", ":hello.txt", "absent").lower()
    assert "directory" in filled.error("cmp", ":src", same).lower()
    assert filled("cmp", same, same, env=environment()) == "", "local files need no repository"


def test_undo_and_redo_move_along_the_reflog(filled):
    tips = filled.git("log", "--format=%h %s", "main").splitlines()
    assert filled("undo") == f"Branch now at: {tips[1].replace(' ', ' - ', 1)}\n"
    assert filled("redo") == f"Branch now at: {tips[0].replace(' ', ' - ', 1)}\n"
    filled("undo", "3")
    assert filled("ls") == "hello.txt\n"
    assert "Cannot undo" in filled.error("undo", "9")
    filled("redo")
    assert filled("hash").startswith(tips[0].split()[0])


def test_reflog_shows_what_was_done(filled):
    filled("undo")
    lines = filled("reflog").splitlines()
    assert lines[0] == "Reflog for branch 'main' (5 entries):"
    assert lines[-1].endswith("undo: move back")
    entries = filled.json("reflog", "--format", "json", "-n", "2")
    assert [entry["message"] for entry in entries] == ["commit: Write .hidden", "undo: move back"]
    assert entries[1]["new_sha"] == filled("hash").strip() and entries[1]["committer"] == "gitstore <gitstore@localhost>"
    assert "Branch not found" in filled.error("reflog", "-b", "absent")


# refs


def test_branches(filled):
    filled("branch", "set", "dev")
    assert filled("branch", "list") == "dev\nmain\n" == filled("branch")
    assert filled.json("branch", "list", "--format", "json") == ["dev", "main"]
    assert "already exists" in filled.error("branch", "set", "dev")
    filled("branch", "set", "dev", "-f", "--back", "2")
    assert filled("branch", "hash", "dev") == filled("hash", "~2")
    assert filled("branch", "hash", "main", "--back", "2") == filled("hash", "~2")
    assert filled.json("branch", "hash", "main", "--format", "json")["branch"] == "main"
    assert filled.fails("branch", "exists", "absent") == "" == filled("branch", "exists", "dev")
    filled("branch", "current", "-b", "dev")
    assert filled("branch", "current") == "dev\n"
    assert filled.json("branch", "current", "--format", "json") == {"name": "dev"}
    filled("branch", "delete", "dev")
    assert "not found" in filled.error("branch", "delete", "dev").lower()
    assert "HEAD" in filled.error("branch", "current")
    assert "colon" in filled.error("branch", "set", "a:b", "--ref", "main").lower()
    assert "Unknown ref" in filled.error("branch", "set", "x", "--ref", "absent")


def test_branches_are_emptied_squashed_and_appended_to(filled):
    filled("branch", "set", "empty", "--empty")
    assert filled("ls", "-b", "empty") == "" and filled("log", "-b", "empty").endswith("Initialize empty\n")
    assert "already exists" in filled.error("branch", "set", "empty", "--empty")
    assert "--empty cannot be combined" in filled.error("branch", "set", "e2", "--empty", "--ref", "main")
    filled("branch", "set", "flat", "--ref", "main", "--squash")
    assert filled("ls", "-R", "flat:") == filled("ls", "-R") and len(filled("log", "-b", "flat").splitlines()) == 1
    filled("branch", "set", "empty", "--append", "--ref", "main")
    assert filled("ls", "-R", "empty:") == filled("ls", "-R") and len(filled("log", "-b", "empty").splitlines()) == 2
    assert "not found" in filled.error("branch", "set", "absent", "--append").lower()


def test_tags(filled):
    filled("tag", "set", "v1", "--back", "1")
    assert filled("tag") == "v1\n" == filled("tag", "list")
    assert filled("tag", "hash", "v1") == filled("hash", "~1")
    assert filled.json("tag", "hash", "v1", "--format", "json")["tag"] == "v1"
    assert "already exists" in filled.error("tag", "set", "v1")
    filled("tag", "set", "v1", "-f")
    assert filled("tag", "hash", "v1") == filled("hash")
    assert filled.fails("tag", "exists", "absent") == "" == filled("tag", "exists", "v1")
    filled("tag", "delete", "v1")
    assert "not found" in filled.error("tag", "delete", "v1").lower()
    assert "not found" in filled.error("tag", "hash", "v1").lower()


def test_notes(filled):
    commit = filled("hash").strip()
    filled("note", "set", "on the tip")
    filled("note", "set", "main~1", "older")
    filled("note", "set", "-N", "reviews", commit, "fine")
    assert filled("note", "get") == "on the tip\n" == filled("note", "get", ":") == filled("note", "get-current")
    assert filled("note", "get", "~1") == "older\n"
    assert filled("note", "get", "main", "-N", "reviews") == "fine\n"
    assert filled.git("notes", "show", commit) == "on the tip"
    assert set(filled("note", "list").split()) == {commit, filled("hash", "~1").strip()}
    filled("note", "delete", commit)
    assert "not found" in filled.error("note", "get", commit).lower()
    filled("note", "set-current", "again")
    assert filled("note", "get-current") == "again\n"


# repositories from elsewhere


def foreign(store, *args):
    subprocess.run(["git", "init", "-q", "--bare", *args, store.repo], check=True, env=environment())


def test_a_repository_without_branches_gets_one(store):
    foreign(store, "-b", "trunk")
    assert "has no branches" in store.error("ls") and "HEAD" in store.error("branch", "current")
    assert "Branch not found" in store.error("write", "a", "--no-create", input="a")
    store("write", "a", input="a")
    assert store("branch", "current") == "trunk\n" and store("cat", "trunk:a") == "a"


def test_a_failed_command_leaves_a_repository_without_branches_as_it_was(store):
    foreign(store, "-b", "trunk")
    for branch in [], ["-b", "other"]:
        store.error("cp", *branch, "missing.txt", ":a")
        assert store("branch") == "" and (store.repo / "HEAD").read_text() == "ref: refs/heads/trunk\n"
    done = store.run("-v", "cp", "missing.txt", ":a")
    assert "Set branch trunk" in done.stderr and "Removed branch trunk again" in done.stderr
    # What was written before something failed stays.
    store.file("there.txt", "there")
    store.fails("cp", "-b", "other", "--ignore-errors", "there.txt", "missing.txt", ":")
    assert store("branch") == "other\n" == store("branch", "current") and store("ls") == "there.txt\n"


def test_submodules_and_odd_modes_are_read_around(store):
    foreign(store, "-b", "main")
    blob = subprocess.run(
        ["git", "-C", store.repo, "hash-object", "-w", "--stdin"], input="x", capture_output=True, text=True, check=True
    ).stdout.strip()
    listing = f"100664 blob {blob}\todd\n160000 commit {'1' * 40}\tsub\n"
    tree = subprocess.run(
        ["git", "-C", store.repo, "mktree", "--missing"], input=listing, capture_output=True, text=True, check=True
    ).stdout.strip()
    names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = subprocess.run(
        ["git", "-C", store.repo, "commit-tree", "-m", "Foreign", tree], capture_output=True, text=True, check=True, env=environment(**names)
    ).stdout.strip()
    store.git("update-ref", "refs/heads/main", commit)
    assert store("ls").split() == ["odd", "sub"] == store("ls", "-R").split()
    assert "  sub" in store("ls", "-l") and store.json("ls", "-l", "--format", "json")[1]["type"] == "commit"
    store("write", "new", input="n")
    assert store.git("ls-tree", "main", "sub").startswith("160000 commit")
    store("cp", ":odd", "out.txt")
    assert (store.folder / "out.txt").read_text() == "x"
    # It has no content that could be copied, and goes along where ids do.
    synced = store.run("sync", ":", "out")
    assert synced.returncode == 0 and synced.stderr == "WARNING: sub: a submodule: skipping\n"
    assert sorted(os.listdir(store.folder / "out")) == ["new", "odd"]
    store("tar", "a.tar")
    with tarfile.open(store.folder / "a.tar") as archive:
        assert archive.getmember("sub").isdir() and len(archive.getmembers()) == 3
    assert "directory" in store.error("cat", ":sub").lower()
    store("mv", ":sub", ":moved")
    assert store.git("ls-tree", "main", "moved").startswith("160000 commit")
    store("rm", ":moved")
    assert store("ls").split() == ["new", "odd"]


def test_what_is_no_repository_is_refused_unchanged(store):
    kept = store.file("data.git/precious.txt", "mine")
    for args in (["ls"], ["write", "a"], ["gc"], ["destroy", "-f"]):
        assert "no Git repository" in store.error(*args, input="")
    assert os.listdir(store.repo) == ["precious.txt"] and kept.read_text() == "mine"


def test_other_forms_of_storage_are_refused_in_one_sentence(store):
    for args, setting, says in (
        (["--object-format=sha256"], None, "object format sha256"),
        ([], ("remote.origin.promisor", "true"), "partial clone"),
    ):
        foreign(store, *args)
        if setting:
            store.git("config", *setting)
        for command in (["ls"], ["write", "a"], ["restore", "."], ["gc"], ["destroy", "-f"]):
            complaint = store.error(*command, input="a")
            assert says in complaint and complaint.count("\n") == 1
        assert store.git("count-objects").startswith("0 objects") and not (store.repo / "gitstore.lock").exists()
        subprocess.run(["rm", "-r", store.repo], check=True)


# the rest


def test_a_reader_that_leaves_early_is_no_error(filled):
    env = filled.env | {"PATH": f"{filled.program.parent}:{os.environ['PATH']}"}
    script = "for i in $(seq 40); do gitstore cat hello.txt hello.txt; done | head -1; gitstore ls -R | head -1"
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=120)
    assert done.stderr == "" and done.stdout == "hello world\n.hidden\n"


def test_long_work_shows_what_it_does_on_a_terminal_alone(store):
    store("init")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"))

    def run(*args, until=None):
        """Gives the command its input once it shows something on its terminal; what it prints, and what it shows."""
        terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [store.program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=end,
            env=store.env | {"TERM": "xterm"},
        )  # fmt: skip
        os.close(end)
        shown, stop = b"", time.monotonic() + 60
        while until is not None and until not in shown:
            assert time.monotonic() < stop, shown
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096)
        printed, _ = process.communicate(archive.getvalue(), timeout=60)
        assert process.returncode == 0
        # What is left to read, until the other end is closed.
        with contextlib.suppress(OSError):
            while more := os.read(terminal, 4096):
                shown += more
        os.close(terminal)
        return printed, shown

    printed, shown = run("untar", until=b"unpacking")
    assert printed == b"" and shown.count(b"\n") == 0, "the line goes when the work is done"
    printed, shown = run("--json", "untar")
    assert json.loads(printed)["add"] == [] and shown == b""
    assert store.run("untar", input=archive.getvalue(), text=False).stderr == b""


def test_pack_and_gc_change_nothing_visible(filled):
    before = filled("ls", "-R", "-l", "--full-hash")
    assert filled.json("--json", "pack")["packed"] > 0
    filled("gc")
    assert filled("ls", "-R", "-l", "--full-hash") == before
    assert filled.git("count-objects", "-v").splitlines()[0] == "count: 0"


def test_commands_answer_at_once(filled):
    """10 ms are promised. The program that is tested is not optimised, and so has twice as long: of a processor, at best."""

    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    for args in (["cat", "hello.txt"], ["ls", "-R"], ["--version"]):
        costs = []
        for _ in range(10):
            before = spent()
            filled(*args)
            costs.append(spent() - before)
        assert min(costs) < 0.02, args


def test_executables_stay_executable(store):
    store.file("run.sh", "#!/bin/sh\n", mode=0o755)
    store("cp", "run.sh", ":")
    assert store.git("ls-tree", "main").startswith("100755 ")
    store("cp", ":run.sh", "out.sh")
    assert os.stat(store.folder / "out.sh").st_mode & stat.S_IXUSR
