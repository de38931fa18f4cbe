"""`cp` and `sync` between disk and store."""

import os
import signal
import subprocess

import pytest
from store import Gitstore, Service, environment, eventually

pytestmark = pytest.mark.once


@pytest.fixture
def store(tmp_path):
    made = Gitstore(tmp_path)
    made.file("src/a.txt", "a")
    made.file("src/sub/b.txt", "b")
    made.file("src/.dot", "d")
    yield made
    if made.repo.exists():
        made.check()


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


# cp from disk


def test_one_file_becomes_exactly_the_destination(store):
    store("cp", "src/a.txt", ":new/name.txt")
    assert store("ls", "-R") == "new/name.txt\n"
    store("cp", "src/a.txt", ":new")
    store("cp", "src/a.txt", ":other/")
    store("cp", "src/a.txt", ":")
    assert store("ls", "-R").splitlines() == ["a.txt", "new/a.txt", "new/name.txt", "other/a.txt"]


def test_folders_keep_their_name_unless_contents_are_meant(store):
    store("cp", "src", ":x")
    store("cp", "src/", ":y")
    store("cp", "./src/./sub", ":z")
    assert store("ls", "-R").splitlines() == [
        "x/src/.dot", "x/src/a.txt", "x/src/sub/b.txt", "y/.dot", "y/a.txt", "y/sub/b.txt", "z/sub/b.txt",
    ]  # fmt: skip


def test_patterns_leave_out_dotfiles(store):
    store("cp", "src/*", ":x")
    assert store("ls", "-R").splitlines() == ["x/a.txt", "x/sub/b.txt"]
    store("cp", "src/**/*.txt", ":y")
    assert store("ls", "-R", ":y").splitlines() == ["y/a.txt", "y/b.txt"]
    assert "not found" in store.error("cp", "src/*.zzz", ":x").lower()


def test_a_dry_run_shows_and_writes_nothing(store):
    store("init")
    assert store("cp", "-n", "src/a.txt", ":b") == "src/a.txt -> :b\n"
    assert store("cp", "-n", "src", ":x").splitlines() == ["+ :x/src/.dot", "+ :x/src/a.txt", "+ :x/src/sub/b.txt"]
    assert store("ls") == ""


def test_what_is_told_is_what_was_done(store):
    store("cp", "src/", ":")
    commit = store("hash")
    assert store("-v", "cp", "src/", ":") == "" and store("hash") == commit
    assert "Copied 0 file(s)" in store.run("-v", "cp", "src/", ":").stderr
    assert "Moved 1 file(s)" in store.run("-v", "mv", ":a.txt", ":c.txt").stderr
    # A folder gives way to a file: one file is copied, two paths change.
    store("write", "d/old", input="old")
    store.file("in/d", "d")
    assert store("cp", "-n", "in/", ":").splitlines() == ["+ :d", "- :d/old"]
    assert "Copied 1 file(s)" in store.run("-v", "cp", "in/", ":").stderr


def test_a_dry_run_of_one_file_to_disk_names_its_place(store):
    store("cp", "src/", ":")
    (store.folder / "out").mkdir()
    assert store("cp", "-n", ":sub/b.txt", "new") == ":sub/b.txt -> new\n"
    assert store("cp", "-n", ":sub/b.txt", "out") == ":sub/b.txt -> out/b.txt\n"
    assert os.listdir(store.folder / "out") == []


def test_a_working_copy_is_stored_without_its_repository(store):
    store.file("src/.git/HEAD", "ref: refs/heads/main")
    assert "to leave it out, exclude '.git'" in store.error("sync", "src", ":p")
    store("sync", "src", ":p", "--exclude", ".git")
    assert store("ls", ":p").splitlines() == [".dot", "a.txt", "sub"]


def test_delete_removes_what_the_source_does_not_have(store):
    store("write", "x/old.txt", input="old")
    store("write", "y.txt", input="y")
    assert "- :x/old.txt" in store("cp", "-n", "--delete", "src/", ":x").splitlines()
    store("cp", "--delete", "src/", ":x")
    assert store("ls", "-R").splitlines() == ["x/.dot", "x/a.txt", "x/sub/b.txt", "y.txt"]
    assert "Cannot use --delete" in store.error("cp", "--delete", "src/a.txt", ":x")


def test_excludes_are_left_out(store):
    store.file("src/sub/c.log", "log")
    store("cp", "--exclude", "*.log", "--exclude", "/.dot", "src/", ":")
    assert store("ls", "-R").splitlines() == ["a.txt", "sub/b.txt"]
    patterns = store.file("patterns", "# none of these\n\nsub/\n")
    store("cp", "--exclude-from", patterns, "src/", ":y")
    assert store("ls", "-R", "y").splitlines() == ["y/.dot", "y/a.txt"]
    store("cp", "--exclude", "*.txt", "src/a.txt", ":z.txt")
    assert "z.txt" not in store("ls")


@pytest.mark.parametrize(
    "args", [["cp", "src/", ":"], ["cp", "src/a.txt", ":"], ["sync", "src"], ["sync", "--watch", "src"]]
)
def test_a_signal_ends_the_wait_for_patterns(store, args):
    pipe = store.folder / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen([store.program, *args, "--exclude-from", pipe], cwd=store.folder, env=store.env)

    def opened():
        """Works once somebody reads, who then waits for what is written."""
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    writer = eventually(opened)
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
        os.close(writer)
    assert not store.repo.exists()


def test_patterns_from_a_pipe_count_in_every_round(store):
    store.file("src/secret", "secret")
    readable, writable = os.pipe()
    os.write(writable, b"secret\n")
    os.close(writable)
    command = [store.program, "sync", "--watch", "--debounce", "100", "src", ":w", "--exclude-from", f"/dev/fd/{readable}"]
    process = subprocess.Popen(command, cwd=store.folder, env=store.env, pass_fds=[readable], stdout=subprocess.PIPE)
    os.close(readable)
    try:
        assert process.stdout.readline().startswith(b"+3  ")
        store.file("src/new.txt", "new")
        assert process.stdout.readline().startswith(b"+1  ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()
    assert "new.txt" in store("ls", "w") and "secret" not in store("ls", "w")


def test_ignore_existing_and_types(store):
    store("write", "a.txt", input="kept")
    store("cp", "--ignore-existing", "src/", ":")
    assert store("cat", "a.txt", ".dot") == "keptd"
    store("cp", "--ignore-existing", "src/a.txt", ":a.txt")
    assert store("cat", "a.txt") == "kept"
    store("cp", "--type", "executable", "src/a.txt", ":run")
    store("cp", "--mode", "755", "src/a.txt", ":run2")
    assert store.git("ls-tree", "main", "run", "run2").count("100755") == 2


def test_symbolic_links_are_kept_or_followed(store):
    os.symlink("a.txt", store.folder / "src/link")
    os.symlink("sub", store.folder / "src/folder")
    store("cp", "src/", ":kept")
    store("cp", "--follow-symlinks", "src/", ":followed")
    modes = {line.split("\t")[1]: line[:6] for line in store.git("ls-tree", "-r", "main").splitlines()}
    assert modes["kept/link"] == modes["kept/folder"] == "120000"
    assert modes["followed/link"] == modes["followed/folder/b.txt"] == "100644"
    store("cp", "src/link", ":one")
    assert store("ls", "-l", "one").endswith("one -> a.txt\n")


@pytest.mark.parametrize("seconds", [-(10**9), -1, 0, 1, 10**9])
def test_changes_are_found_whatever_time_a_file_has(store, seconds):
    """A file may be written in the second of the commit, or get any time with what somebody unpacks over it."""
    for path, *args in (
        ["src/a.txt", "sync", "src", ":d"],
        ["src/a.txt", "cp", "--delete", "src/", ":d"],
        ["out/a.txt", "sync", ":d", "out"],
        ["out/a.txt", "cp", "--delete", ":d/", "out"],
    ):
        store(*args)
        file = store.file(path, f"changed by {args}")
        time = int(store.git("log", "-1", "--format=%ct", "main")) + seconds
        os.utime(file, (time, time))
        if path.startswith("src"):
            # Into the repository, an older file counts as unchanged unless contents are asked for.
            assert store(*args, "-n") == ("" if seconds < 0 else "~ :d/a.txt\n")
            args.append("-c")
        shown = ":d/a.txt" if path.startswith("src") else path
        assert store(*args, "-n") == f"~ {shown}\n"
        store(*args)
        assert store("cat", "d/a.txt") == file.read_text()
        assert store(*args, "-n") == ""


def test_a_newer_commit_reaches_files_on_disk_that_are_older(store):
    store("sync", "src", ":d")
    store("sync", ":d", "out")
    store("write", "d/a.txt", input="newer")
    os.utime(store.folder / "out/a.txt", (1, 1))
    store("sync", ":d", "out")
    assert (store.folder / "out/a.txt").read_text() == "newer"


def test_a_change_of_the_executable_bit_is_found(store):
    store("sync", "src", ":d")
    (store.folder / "src/a.txt").chmod(0o755)
    assert store("sync", "-n", "src", ":d") == "~ :d/a.txt\n"


def test_a_dry_run_shows_what_a_repository_that_is_missing_would_get(store):
    for repo in ("data.git", "not/there/yet.git"):
        at = ["-r", repo]
        assert store(*at, "cp", "-n", "src/a.txt", ":b") == "src/a.txt -> :b\n"
        assert store(*at, "cp", "-n", "src/", ":x").splitlines() == ["+ :x/.dot", "+ :x/a.txt", "+ :x/sub/b.txt"]
        assert store(*at, "sync", "-n", "src").splitlines() == ["+ :.dot", "+ :a.txt", "+ :sub/b.txt"]
        assert store(*at, "sync", "-n", "absent") == ""
        report = store.json("--json", *at, "cp", "-n", "src/a.txt", "dev:b", "--tag", "v1")
        assert report == {"branch": "dev", "dry_run": True, "add": ["b"], "update": [], "delete": []}
        assert "not found" in store.error(*at, "cp", "-n", "absent", ":x").lower()
        assert "Repository not found" in store.error(*at, "sync", "-n", "--no-create", "src")
    assert not store.repo.exists() and not (store.folder / "not").exists()
    # The same where it is there and has no branch yet, or is an empty folder.
    store.repo.mkdir()
    assert store("cp", "-n", "src/a.txt", ":") == "src/a.txt -> :a.txt\n"
    assert list(store.repo.iterdir()) == []
    subprocess.run(["git", "init", "-q", "--bare", "-b", "first", store.repo], check=True, env=environment())
    report = store.json("--json", "sync", "-n", "src", ":x")
    assert report["branch"] == "first" and report["add"] == [".dot", "a.txt", "sub/b.txt"]
    assert store.git("for-each-ref") == "" and store("branch") == ""
    report = store.json("--json", "sync", "src", ":x")
    assert report["branch"] == "first" and report["add"] == [".dot", "a.txt", "sub/b.txt"]


def test_nothing_in_a_repository_is_copied_onto_or_into_itself(store):
    store("sync", "src", ":d")
    store("write", "top", input="top")
    store("branch", "set", "dev")
    before = store("hash")
    for args in (
        ["cp", ":top", ":top"], ["cp", ":d", ":d"], ["cp", ":d/", ":d"], ["cp", "main:d", ":d/"], ["cp", ":", ":"],
        ["cp", ":d/sub", ":d"], ["cp", "--delete", ":d/", ":d"], ["cp", ":*", ":d"],
        ["sync", ":d", ":d"], ["sync", "main:d", ":d/"],
    ):  # fmt: skip
        assert "Source and destination are the same" in store.error(*args), args
    for args in (
        ["cp", ":d", ":d/sub"], ["cp", ":d", "main:d/new"], ["cp", ":d/", ":d/sub"], ["cp", ":top", ":top/x"],
        ["cp", ":", ":d"], ["sync", ":d", ":d/new"], ["sync", ":", "main:d"],
    ):  # fmt: skip
        assert "into itself" in store.error(*args), args
    assert store("hash") == before
    # What is elsewhere, or is there already among others, is no trouble.
    store("cp", "dev:d", ":d/copy")
    store("cp", ":top", ":d/a.txt", ":d")
    store("sync", ":d/copy/d", ":d")
    store("cp", ":d/", ":d/new")
    assert store("ls", "-R", "d").splitlines() == [
        "d/.dot", "d/a.txt", "d/new/.dot", "d/new/a.txt", "d/new/sub/b.txt", "d/sub/b.txt",
    ]  # fmt: skip


def test_errors_are_told_and_the_rest_is_copied(store):
    done = store.run("cp", "--ignore-errors", "src/a.txt", "absent", ":x")
    assert done.returncode == 1 and "ERROR: absent: " in done.stderr
    assert store("ls", "-R") == "x/a.txt\n"
    assert "not found" in store.error("cp", "absent", ":x").lower()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["cp", "src/a.txt", "b.txt"], "Neither sources nor DEST"),
        (["cp", ":a"], "at least two"),
        (["cp", "src/a.txt", ":a", ":b"], "Mixed"),
        (["cp", "src/a.txt", ":b", "--ref", "main"], "only apply when reading from repo"),
        (["cp", "src/a.txt", "main:b", "-b", "main"], "-b"),
        (["cp", "src/a.txt", "main~1:b"], "historical"),
        (["cp", "src/a.txt", "v1:b"], "tag"),
        (["cp", ":a", "out", "--tag", "v2"], "only applies when writing to repo"),
        (["cp", ":a", "out", "--exclude", "x"], "--exclude"),
        (["cp", "src/a.txt", ":../x"], "nvalid"),
        (["sync", ":a"], "local folder"),
        (["sync", "src", "out"], "Neither argument"),
        (["sync", ":", "out", "--gitignore"], "--gitignore"),
        (["sync", ":", "out", "--watch"], "--watch"),
        (["sync", "src", "-n", "--watch"], "--watch"),
        (["sync", "src", "--debounce", "50"], "at least 100"),
        (["sync", "src", ":", "--back", "1"], "only apply when reading from repo"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(store, args, says):
    store("write", "a", "--tag", "v1", input="a")
    before = store("hash")
    assert says in store.error(*args)
    assert store("hash") == before and not (store.folder / "out").exists()


def test_ctrl_c_ends_a_copy_without_leftovers(store):
    store("init")
    for number in range(3000):
        store.file(f"src/many/{number}", os.urandom(64 << 10))
    with open(store.folder / "large", "wb") as file:
        for _ in range(30):
            file.write(os.urandom(8 << 20))
    before = sorted(path for path in store.repo.rglob("*") if path.is_file())
    for args in (["cp", "large", ":"], ["cp", "src/", ":"]):
        process = subprocess.Popen([store.program, *args], cwd=store.folder, env=store.env, stderr=subprocess.PIPE)
        # Once it has begun to store, which is when there is something to leave behind.
        eventually(lambda: process.poll() is not None or sorted(p for p in store.repo.rglob("*") if p.is_file()) != before)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 130, (args, complaint)
        assert sorted(path for path in store.repo.rglob("*") if path.is_file()) == before, args
    assert store("ls") == ""
    store("cp", "large", ":")
    store("cp", "src/", ":")
    out = store.folder / "out"

    def under_way():
        return [name for name in os.listdir(store.folder) + tree(out) if ".packhouse-" in name]

    for args in (["cp", ":large", "out"], ["cp", ":many/", "out/"]):
        process = subprocess.Popen([store.program, *args], cwd=store.folder, env=store.env, stderr=subprocess.PIPE)
        eventually(lambda: process.poll() is not None or under_way() or tree(out))
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 130, (args, complaint)
        assert under_way() == [] and not out.is_file() and len(tree(out)) < 3000, args


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_input_that_a_signal_cut_off_is_not_stored(store, number, status):
    store("init")
    process = subprocess.Popen([store.program, "write", "large"], env=store.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(bytes(8 << 20))
    process.stdin.flush()
    process.send_signal(number)
    # Whoever wrote has got the same signal, and is gone.
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == status and b"stopped by a signal" in complaint
    assert store("ls") == ""


def test_a_dry_run_makes_no_tag(store):
    store("init")
    for args in (["cp", "src/a.txt", ":"], ["cp", "src", ":"], ["sync", "src"], ["--json", "cp", "src/a.txt", ":"]):
        store(*args, "-n", "--tag", "v1")
    assert store("tag") == ""


def test_a_dry_run_says_what_happens(store):
    store.file("in/d", "d")
    store.file("in/new/file", "n")
    store("cp", "src/", ":")
    for path in ("d/old", "d/older", "new", "t/x", "t/d/y"):
        store("write", path, input=path)
    store("branch", "set", "dev")
    store("write", "dev:sub/b.txt", input="changed")
    store("write", "dev:sub/new", input="new")
    start = store("hash").strip()
    os.symlink("nowhere", store.folder / "link")
    for args in (
        ["cp", "src/a.txt", ":"],
        ["cp", "src/a.txt", ":d"],
        ["cp", "src/a.txt", ":new/x"],
        ["cp", "link", ":d/link"],
        ["cp", "--ignore-existing", "src/a.txt", ":new"],
        ["cp", "--exclude", "a*", "src/a.txt", ":z"],
        ["cp", "in/", ":"],
        ["cp", "--delete", "in/", ":"],
        ["cp", ":a.txt", ":d/"],
        ["cp", ":a.txt", ":new/x"],
        ["cp", ":d", ":new"],
        ["cp", ":d/", "dev:sub", ":new"],
        ["cp", "--delete", ":d", "dev:sub", ":t"],
        ["cp", "--delete", "dev:sub/", ":sub"],
        ["cp", "--ignore-existing", "dev:sub", ":d", ":t"],
        ["sync", "in", ":d"],
        ["sync", "dev:sub", ":d"],
        ["mv", ":a.txt", ":new"],
        ["mv", "-R", ":d", ":t"],
        ["rm", "-R", ":d", ":new"],
        ["cp", ":a.txt", "out"],
        ["cp", ":a.txt", "out/"],
        ["cp", ":d", "out"],
        ["cp", "--delete", ":t/", "out"],
        ["sync", ":d", "out"],
    ):  # fmt: skip
        store("branch", "set", "main", "-f", "--ref", start)
        store.file("out/a.txt", "old")
        store.file("out/d/old", "old")
        dry, real = (store.json("--json", *args, *dry) for dry in (["-n"], []))
        assert dry.pop("dry_run") and not real.pop("dry_run")
        assert dry.pop("commit") == start or args[-1].startswith("out")
        real.pop("commit")
        assert dry == real, args
        subprocess.run(["rm", "-r", store.folder / "out"], check=True)


# cp to disk and within the store


def test_files_come_back_as_they_were(store):
    os.symlink("a.txt", store.folder / "src/link")
    (store.folder / "src/a.txt").chmod(0o755)
    store("cp", "src", ":")
    store("cp", ":src", "out")
    assert tree(store.folder / "out/src") == tree(store.folder / "src")
    assert os.readlink(store.folder / "out/src/link") == "a.txt"
    assert os.access(store.folder / "out/src/a.txt", os.X_OK)
    store("cp", ":/", "all")
    assert tree(store.folder / "all") == tree(store.folder / "out")
    store("cp", ":src/sub/", "only")
    assert tree(store.folder / "only") == ["b.txt"]
    store("cp", ":src/./sub/b.txt", "pivot")
    assert tree(store.folder / "pivot") == ["sub/b.txt"]


def test_one_stored_file_becomes_exactly_the_destination(store):
    store("cp", "src/", ":")
    assert store("cp", "-n", ":a.txt", "copy.txt") == ":a.txt -> copy.txt\n"
    assert not (store.folder / "copy.txt").exists()
    store("cp", ":a.txt", "copy.txt")
    store("cp", ":a.txt", "deep/er/copy.txt")
    (store.folder / "folder").mkdir()
    store("cp", ":a.txt", "folder")
    for name in ("copy.txt", "deep/er/copy.txt", "folder/a.txt"):
        assert (store.folder / name).read_text() == "a", name
    assert "not found" in store.error("cp", ":absent", "x").lower()
    assert store("cp", "-n", "--ignore-existing", ":a.txt", "copy.txt") == ""
    (store.folder / "copy.txt").chmod(0o600)
    store("cp", ":sub/b.txt", "copy.txt")
    assert (store.folder / "copy.txt").read_text() == "b" and (store.folder / "copy.txt").stat().st_mode & 0o777 == 0o600
    assert store.json("--json", "cp", ":a.txt", "deep/er/copy.txt")["update"] == ["copy.txt"]
    assert sorted(os.listdir(store.folder / "deep/er")) == ["copy.txt"]


def test_a_stored_file_does_not_replace_the_repository(store):
    store("write", "data.git", input="not a repository")
    for dest in (".", "./"):
        assert "the store is in the way" in store.error("cp", ":data.git", dest)
        assert "the store is in the way" in store.error("cp", "-n", ":data.git", dest)
    assert store("cat", "data.git") == "not a repository"


def test_history_and_other_refs_are_copied_from(store):
    store("write", "f", "--tag", "v1", input="1")
    store("write", "f", input="2")
    store("cp", "~1:f", "one")
    store("cp", ":f", "two", "--ref", "v1")
    store("cp", ":f", "three", "--back", "1")
    assert [(store.folder / name).read_text() for name in ("one", "two", "three")] == ["1"] * 3


def test_a_copy_from_several_refs_is_one_copy(store):
    store("write", "d/f", "--tag", "v1", input="1")
    store("write", "d/f", input="2")
    store("write", "g", input="g")
    sources = [":d", "v1:d", ":g"]
    # The one that comes last wins, and is new.
    assert store("cp", "-n", *sources, "out").splitlines() == ["+ out/d/f", "+ out/g"]
    report = {"dry_run": True, "add": ["d/f", "g"], "update": [], "delete": []}
    assert store.json("--json", "cp", "-n", *sources, "out") == report
    assert store.json("--json", "cp", *sources, "out") == report | {"dry_run": False}
    assert (store.folder / "out/d/f").read_text() == "1" and (store.folder / "out/g").read_text() == "g"
    assert "Copied 2 file(s)" in store.run("-v", "cp", *sources, "out").stderr
    assert "different refs" in store.error("cp", "--delete", *sources, "out")
    # A file of one gives way to a folder of another.
    store("write", "other/x", input="x")
    store("branch", "set", "flat", "--empty")
    store("write", "flat:other", input="flat")
    assert store("cp", "-n", "flat:other", ":other", "new/") == "+ new/other/x\n"
    store("cp", "flat:other", ":other", "new/")
    assert tree(store.folder / "new") == ["other/x"]


def test_delete_on_disk_stays_inside_the_destination(store):
    store("cp", "src/", ":")
    store.file("out/extra.txt", "x")
    store.file("beside.txt", "kept")
    assert store("cp", "-n", "--delete", ":/", "out").splitlines() == [
        "+ out/.dot", "+ out/a.txt", "- out/extra.txt", "+ out/sub/b.txt",
    ]  # fmt: skip
    store("cp", "--delete", ":/", "out")
    assert tree(store.folder / "out") == [".dot", "a.txt", "sub/b.txt"]
    assert (store.folder / "beside.txt").exists()


def test_files_are_copied_between_refs(store):
    store("cp", "src/", ":")
    store("branch", "set", "dev")
    store("write", "dev:d.txt", input="d")
    store("cp", "dev:d.txt", ":")
    store("cp", ":a.txt", ":copy.txt")
    store("cp", ":sub", "dev:d.txt", ":both/")
    assert store("ls", "-R").splitlines() == [
        ".dot", "a.txt", "both/d.txt", "both/sub/b.txt", "copy.txt", "d.txt", "sub/b.txt",
    ]  # fmt: skip
    assert store("log").splitlines()[0].count("both") == 0 and len(store("log", "--match", "*cp*").splitlines()) >= 1
    assert store("cp", "-n", ":a.txt", ":z/") == "+ :z/a.txt\n"
    assert store("cp", "-n", ":sub", ":copy.txt/") == "- :copy.txt\n+ :copy.txt/sub/b.txt\n"
    store("write", "both/sub/old", input="old")
    store("write", "both/kept", input="kept")
    store("cp", "--delete", ":sub", "dev:d.txt", ":both")
    assert store("ls", "-R", "both").split() == ["both/d.txt", "both/kept", "both/sub/b.txt"]
    store("cp", "--delete", ":sub/", ":both")
    assert store("ls", "-R", "both") == "both/b.txt\n"
    before = store("hash")
    store("cp", ":a.txt", ":copy.txt")
    assert store("hash") == before


# sync


def test_sync_makes_a_branch_the_same_as_a_folder(store):
    store("write", "old.txt", input="old")
    assert "- :old.txt" in store("sync", "-n", "src").splitlines()
    store("sync", "src")
    assert store("ls", "-R").splitlines() == [".dot", "a.txt", "sub/b.txt"]
    (store.folder / "src/a.txt").unlink()
    store("sync", "src", ":", "--tag", "v1", "-m", "Less")
    assert store("ls", "-R", "v1:").splitlines() == [".dot", "sub/b.txt"] and "Less" in store("log")
    store("sync", "src/sub", ":deep/er")
    assert store("ls", "-R", "deep") == "deep/er/b.txt\n"


def test_a_source_that_is_missing_empties_the_destination_with_a_warning(store):
    store("sync", "src")
    assert store.run("sync", "-n", "src").stderr == ""
    for flags in ["-n"], []:
        done = store.run("sync", *flags, "nope")
        assert done.returncode == 0 and done.stderr == "WARNING: nope: not there, taken for an empty folder\n"
        assert (store("ls") == "") == (flags == [])
    store("undo")
    for source in ":typo", "main:typo":
        store.file("out/a", "a")
        for flags in ["-n"], []:
            done = store.run("sync", *flags, source + "/", "out")
            assert done.returncode == 0 and done.stderr == f"WARNING: {source}: not there, taken for an empty folder\n"
            assert os.listdir(store.folder / "out") == (["a"] if flags else [])
    # An empty folder is one.
    (store.folder / "empty").mkdir()
    done = store.run("sync", "empty")
    assert (done.returncode, done.stderr) == (0, "")
    done = store.run("sync", ":", "out")
    assert (done.returncode, done.stderr) == (0, "")


def test_sync_respects_gitignore(store):
    store.file("src/.gitignore", "*.log\n")
    store.file("src/x.log", "x")
    store("sync", "--gitignore", "src")
    assert store("ls", "-R").splitlines() == [".dot", "a.txt", "sub/b.txt"]


def test_sync_to_disk_and_between_branches(store):
    store("sync", "src")
    store.file("out/extra", "x")
    store("sync", ":", "out")
    assert tree(store.folder / "out") == [".dot", "a.txt", "sub/b.txt"]
    store("branch", "set", "dev", "--empty")
    store("write", "dev:other", input="x")
    store("sync", "main:", "dev:")
    assert store("ls", "-R", "dev:") == store("ls", "-R")
    store("sync", "main:sub", "dev:sub2")
    store("write", "dev:sub2/old", input="old")
    store("write", "dev:sub2/older", input="old")
    store("sync", "main:sub", "dev:sub2")
    assert store("log", "-b", "dev").splitlines()[0].endswith("Batch sync: -2")
    assert store("cat", "dev:sub2/b.txt") == "b"


def test_watching_syncs_after_each_change(store):
    with Service(store, "sync", "--watch", "--debounce", "100", "-c", "src", ":w") as watching:
        assert watching.line.startswith("+3  ")
        store.file("src/new.txt", "new")
        eventually(lambda: "new.txt" in store("ls", "w"))
        (store.folder / "src/a.txt").unlink()
        eventually(lambda: "a.txt" not in store("ls", "w").splitlines())
        # Another writer in between does no harm.
        store("write", "else", input="x")
        store.file("src/sub/b.txt", "changed")
        eventually(lambda: store("cat", "w/sub/b.txt") == "changed")
        watching.process.send_signal(signal.SIGINT)
        watching.process.wait(20)
    assert watching.process.returncode == 0
    assert store("cat", "else") == "x"


# names

#: A name with each byte that one can have.
NAMES = [b"x%cy" % byte for byte in range(1, 256) if byte != ord("/")]


def listed(store, place, repo="data.git"):
    """The names in a folder of a branch, as git has them, each with the id of what is in it."""
    command = ["git", "-C", store.folder / repo, "ls-tree", "-z", place]
    lines = subprocess.run(command, capture_output=True, check=True, env=environment()).stdout.split(b"\0")[:-1]
    return {name: about.split()[2] for about, name in (line.split(b"\t", 1) for line in lines)}


def test_names_of_every_legal_byte_sequence_go_everywhere(store):
    local = os.fsencode(store.folder) + b"/d"
    os.mkdir(local)
    for name in NAMES:
        with open(local + b"/" + name, "wb") as file:
            file.write(name)
    store("cp", "d", ":")
    ids = listed(store, "main:d")
    assert sorted(ids) == sorted(NAMES)
    store("sync", "d", ":synced")
    store("mv", "-R", ":synced", ":moved")
    assert listed(store, "main:moved") == ids
    assert store("ls", "--format", "json", "moved") == store("ls", "--format", "json", "d")
    store("cp", ":moved/", "out")
    store("sync", ":moved", "out2")
    for out in (b"out", b"out2"):
        folder = os.fsencode(store.folder) + b"/" + out
        assert sorted(os.listdir(folder)) == sorted(NAMES)
        assert all(open(folder + b"/" + name, "rb").read() == name for name in NAMES)
    assert store("sync", "-c", "-n", "out2", ":moved") == ""
    store("tar", "a.tar")
    store("-r", "other.git", "untar", "a.tar")
    assert listed(store, "main:d", "other.git") == ids
    first = store("hash", "~2").strip()
    added = store("diff", f"{first}:", text=False)
    for name in (b"x\ny", b"x\ty", b"x y", b"x:y", b"x\\y", b'x"y', b"x~y", b"x\x7fy", b"x\xffy", b"x*y", b"x?y", b"x[y"):
        path = b":moved/" + name
        assert b"A  moved/" + name + b"\n" in added
        assert store("cat", path, text=False) == name
        assert store("hash", path).strip().encode() == ids[name]
        assert store("log", "--path", b"moved/" + name).count("\n") == 1
        store("cmp", path, b"d/" + name)
        store("cp", "--no-glob", b"d/" + name, b":one/" + name)
        store("cp", "--no-glob", b":one/" + name, b":two/" + name)
        store("mv", "--no-glob", b":two/" + name, b":three/" + name)
        store("cp", "--no-glob", b":three/" + name, b"single")
        assert (store.folder / "single").read_bytes() == name
        store("rm", "--no-glob", b":three/" + name)
        store("write", b":written/" + name, input=name, text=False)
    store("cp", "--exclude", "*", "--exclude", b"!x\xffy", "d/", ":some")
    assert list(listed(store, "main:some")) == [b"x\xffy"]
    assert len(listed(store, "main:one")) == len(listed(store, "main:written")) == 12
    assert "not found" in store.error("ls", "three").lower()
