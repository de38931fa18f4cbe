"""What the command line of stores says when something is wrong: which thing, why, and what to do about it."""

import json
import os
import resource
import shutil
import signal
import subprocess

import pytest
from binary import run
from store import environment, filled, store

pytestmark = pytest.mark.once

NOBODY = 65534


def told(store, *args, status=1, **options):
    """The message and the hint of a command that fails, which are all that it prints."""
    done = store.run(*args, **({"input": ""} | options))
    assert (done.returncode, done.stdout) == (status, ""), (args, done.returncode, done.stdout, done.stderr)
    message, _, hint = done.stderr.rstrip("\n").rpartition("\nhint: ")
    assert message.startswith("Error: ") and hint and "\n" not in hint, (args, done.stderr)
    return message.removeprefix("Error: "), hint


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["cat", "absent"], "File not found: absent", "`ls -R`"),
        (["cat", "src"], "Is a directory: src", "name a file"),
        (["cat", "hello.txt/x"], "Not a directory: hello.txt/x", "`ls`"),
        (["cat", "absent:hello.txt"], "Unknown ref: absent", "`branch list`"),
        (["diff", "hello.txt"], "Unknown ref: hello.txt", "':hello.txt'"),
        (["ls", "main"], "File not found: main", "'main:'"),
        (["ls", "--ref", "main~1"], "Unknown ref: main~1", "`--back 1`"),
        (["hash", "hello.txt"], "Unknown ref: hello.txt", "':hello.txt'"),
        (["cp", "here:and", ":"], "Unknown ref: here", "'./here'"),
        (["cat", "main~9:hello.txt"], "history too short", "`log`"),
        (["cat", "main~x:hello.txt"], "positive integer", "main~2"),
        (["ls", "--match", "nothing"], "No matching commits found", "`log`"),
        (["undo", "9"], "Cannot undo 9 steps", "`log`"),
        (["redo", "99"], "Cannot redo 99 steps", "`reflog`"),
        (["reflog", "-b", "absent"], "Branch not found: absent", "`branch list`"),
        (["branch", "delete", "absent"], "Branch not found: absent", "`branch list`"),
        (["branch", "set", "a b"], "Invalid ref name: 'a b'", "letters"),
        (["branch", "set", "main/x"], "`refs/heads/main`", "delete the one"),
        (["tag", "delete", "absent"], "Tag not found: absent", "`tag list`"),
        (["note", "get"], "Note not found", "`note list`"),
        (["note", "set", "main:hello.txt", "x"], "names a file", "branch"),
        (["mv", ":hello.txt"], "at least two", "mv :"),
        (["cp", "hello.txt"], "at least two", "cp "),
        (["cp", "absent", ":"], "Local file not found: absent", "':'"),
        (["cp", ":hello.txt", "x", "--tag", "v"], "--tag only applies", "leave out --tag"),
        (["cmp", ":src", ":hello.txt"], "Is a directory: src", "name a file"),
        (["cmp", ":hello.txt", "."], "Is a directory: .", "name a file"),
        (["write", "a", "-m", "{nonsense}"], "placeholder", "{default}"),
        (["rm", "-m", "{", ":hello.txt"], "expected '}'", "{default}"),
        (["cp", ":hello.txt", "bin/gitstore/"], "Not a directory: bin/gitstore", "name a folder"),
        (["write", ".git/a"], "'.git/a'", "docs/a.txt"),
        (["mount", "absent"], "Local file not found: absent", "`mkdir`"),
        (["serve", "--host", "absent.invalid"], "'absent.invalid'", "127.0.0.1"),
        (["backup", "--ref", "absent", "copy.git"], "Unknown ref: absent", "`branch list`"),
        (["restore", "absent.git"], "absent.git", "repository is there"),
        (["restore", "absent.bundle"], "Local file not found: absent.bundle", "check the path"),
        (["archive_in", "absent.zip"], "Local file not found: absent.zip", "check the path"),
    ],
)  # fmt: skip
def test_mistakes_are_named_and_end_with_a_hint(filled, args, message, hint):
    before = filled("hash")
    said, advice = told(filled, *args)
    assert message in said and hint in advice, (said, advice)
    assert filled("hash") == before


def test_an_empty_branch_has_nothing_to_remove(filled):
    filled("branch", "set", "bare", "--empty")
    said, advice = told(filled, "rm", "-R", "-b", "bare", ":")
    assert said == "Nothing to remove: the branch is empty" and "`log`" in advice


def test_a_log_of_what_never_was_is_told(filled):
    for args in (["log", "nope"], ["log", "-b", "main", "nope"], ["--json", "log", "nope"]):
        done = filled.run(*args)
        assert done.returncode == 0 and done.stdout in ("", "[]\n")
        assert done.stderr.startswith("hint: no commit there has changed a path 'nope'; ")
    for args in (["log", "hello.txt"], ["log", "main"], ["log", "--match", "nothing", "nope"]):
        assert filled.run(*args).stderr == ""


def test_options_in_front_change_nothing_about_a_complaint():
    for args in (["store", "nonsense"], ["--json", "store", "nonsense"]):
        done = run(*args, check=False)
        assert done.returncode == 2 and done.stderr.startswith("Error: "), done.stderr


def test_what_is_no_place_for_a_repository_is_told(store):
    store.file("full/precious.txt", "mine")
    store.file("plain", "mine")
    for path, why in (("full", "no HEAD"), ("plain", "it is no folder"), ("plain/x", "Not a directory")):
        said, advice = told(store, "-r", path, "init")
        assert why in said and "empty or does not exist" in advice, (said, advice)
        assert "already exists" not in said
        said, _ = told(store, "-r", path, "ls")
        assert why in said
    subprocess.run(["git", "init", "-q", store.folder / "work"], check=True, env=environment())
    said, advice = told(store, "-r", "work", "init")
    assert said == "A working copy is there already: work" and "another folder" in advice
    # One that is made meanwhile by hand, as `mkdir` does, is as good as none.
    (store.folder / "empty").mkdir(mode=0o700)
    assert store("-r", "empty", "init") == "" and store("-r", "empty", "branch") == "main\n"
    assert "already exists" in told(store, "-r", "empty", "init")[0]


# what the system says


def program_of(store):
    """The program where everybody may run it."""
    copy = store.folder / "bin" / "program"
    shutil.copy(store.program, copy)
    store.program.unlink()
    copy.rename(store.program)
    for folder in [store.folder, *store.folder.parents]:
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)


def denied(store, *args):
    """What a command says to a user who may not read or write the repository."""
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        [store.program, *args], input="", capture_output=True, text=True, timeout=60,
        cwd=store.folder, env=store.env, **as_nobody,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\nhint: ") == 1, (args, done.returncode, done.stderr)
    return done.stderr


def test_a_backup_that_may_not_be_written_says_where_and_what_to_do(filled):
    program_of(filled)
    filled("backup", "kept/copy.git")
    filled("write", "more", input="more")
    kept = filled.folder / "kept"
    places = [kept, kept / "copy.git" / "objects"]
    for place in places:
        place.chmod(0o555)
    try:
        said = denied(filled, "backup", "kept/copy.git")
        assert said.count("kept/copy.git") == 1 and "can only be read" in said
        assert "hint: name a bare repository that this user may write" in said
        for new in ("kept/new.git", "kept/new.bundle"):
            said = denied(filled, "backup", new)
            assert "kept" in said and "Permission denied" in said and "hint: run it as a user who may" in said
    finally:
        for place in places:
            place.chmod(0o755)


def test_a_repository_for_others_is_no_missing_repository(filled):
    program_of(filled)
    filled.repo.chmod(0)
    try:
        for args in (["ls"], ["write", "b"], ["init"], ["init", "-f"], ["destroy", "-f"], ["gc"], ["backup", "b.git"]):
            said = denied(filled, *args)
            assert "Permission denied" in said and str(filled.repo) in said, (args, said)
            assert "no Git repository" not in said and "hint: run it as a user who may" in said
    finally:
        filled.repo.chmod(0o755)
    above = filled.folder / "above"
    above.mkdir()
    filled.repo.rename(above / "data.git")
    above.chmod(0)
    try:
        said = denied(filled, "-r", "above/data.git", "ls")
        assert "above/data.git: Permission denied" in said and "not found" not in said
    finally:
        above.chmod(0o755)
        (above / "data.git").rename(filled.repo)


def test_a_repository_that_may_only_be_read_says_why(filled):
    program_of(filled)
    objects = filled.repo / "objects"
    objects.chmod(0o555)
    try:
        for args in (["write", "b"], ["undo"], ["tag", "set", "v1"], ["gc"]):
            said = denied(filled, *args)
            assert "cannot be written by this user" in said and "opened for reading" not in said
    finally:
        objects.chmod(0o755)


def limited(store, limit, *args, **streams):
    """Runs a command that may write no files larger than `limit`."""

    def within():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [store.program, *args], capture_output=True, timeout=60, cwd=store.folder, env=store.env,
        preexec_fn=within, **streams,
    )  # fmt: skip
    assert done.returncode == 1, (args, done.stderr)
    return done.stderr.decode()


def test_what_does_not_fit_was_not_written_and_not_badly_read(store):
    store("init")
    noise = os.urandom(4 << 20)
    store.file("large", noise)
    for number in range(16):
        store.file(f"many/{number}", noise[number << 18 : (number + 1) << 18])
    for args, streams in (
        (["write", "a"], {"input": noise}),
        (["write", "a", "-p"], {"input": noise}),
        (["cp", "large", ":"], {}),
        (["cp", "large", ":there"], {}),
        (["cp", "many", ":"], {}),
        (["sync", "many"], {}),
    ):
        said = limited(store, 128 << 10, *args, **streams)
        assert "could not write" in said and "File too large" in said and "read" not in said, (args, said)
        assert said.count(str(store.folder)) == 1 == said.count(str(store.repo)), f"it names one place, once: {said}"
        assert "hint: " in said and "ulimit -f" in said and "git fsck" not in said
    store("cp", "large", ":")
    for args, place in (
        (["cp", ":large", "out"], "out"),
        (["cp", ":large", "out/"], "out/large"),
        (["cp", ":", "out"], "out/large"),
        (["sync", ":", "out"], "out/large"),
        (["tar", "out.tar"], "out.tar"),
        (["archive_out", "out.zip"], "out.zip"),
        (["backup", "out.bundle"], "out.bundle"),
    ):
        said = limited(store, 128 << 10, *args)
        said = said.removeprefix("Error: ").removeprefix("./")
        assert said.startswith(f"{place}: File too large (os error 27)\nhint: "), (args, said)


def test_what_cannot_be_read_is_named(store):
    store("init")
    folder = os.open(store.folder, os.O_RDONLY)
    try:
        done = subprocess.run(
            [store.program, "write", "a"], stdin=folder, capture_output=True, text=True, env=store.env, timeout=60
        )
    finally:
        os.close(folder)
    said = done.stderr
    assert said.startswith("Error: Could not read standard input: Is a directory") and "hint: " in said
    store.file("bad.zip", "no zip")
    store.file("bad.tgz", "no tar")
    for args, named in (
        (["archive_in", "bad.zip"], "bad.zip"),
        (["untar", "bad.tgz"], "bad.tgz"),
        (["unzip", "-"], "standard input"),
    ):
        said, advice = told(store, *args, input="no archive")
        assert said.startswith(f"Could not read {named}: ") and "whole archive" in advice


def test_a_full_output_is_told_as_such(filled):
    with open("/dev/full", "w") as full:
        for args in (["ls"], ["--json", "ls"], ["cat", "hello.txt"], ["log"], ["tar", "-"], ["--json", "undo"]):
            done = subprocess.run(
                [filled.program, *args], stdout=full, stderr=subprocess.PIPE, text=True, env=filled.env, timeout=60
            )
            assert done.returncode == 1 and done.stderr.startswith("Error: Could not write the result: No space left"), args
            assert "hint: make room" in done.stderr


def test_a_reader_that_leaves_ends_every_command_quietly(filled):
    filled("write", "large", input=os.urandom(1 << 20), text=False)
    for args in ("cat large large", "--json cat large", "tar -", "archive_out - --format zip", "ls -R", "log", "cp :large /dev/stdout"):
        script = f"set -o pipefail; {filled.program} {args} | head -c 1 > /dev/null"
        done = subprocess.run(["bash", "-c", script], env=filled.env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), (args, done)


def give(repository, user):
    if os.geteuid() == 0:
        for folder, _, files in os.walk(repository):
            for name in [folder, *(os.path.join(folder, file) for file in files)]:
                os.chown(name, user, user)


def test_a_file_that_cannot_be_copied_is_named_once(filled):
    program_of(filled)
    filled.file("from/good", "good")
    filled.file("from/bad", "bad", mode=0)
    give(filled.repo, NOBODY)
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        [filled.program, "--json", "cp", "--ignore-errors", "from", ":"], capture_output=True, text=True, timeout=60,
        cwd=filled.folder, env=filled.env | {"HOME": "/"}, **as_nobody,
    )  # fmt: skip
    give(filled.repo, 0)
    assert done.returncode == 1 and done.stderr == "ERROR: from/bad: Permission denied (os error 13)\n", done
    shown = json.loads(done.stdout)
    assert shown["add"] == ["from/good"] and "warnings" not in shown
    assert shown["errors"] == [{"path": "from/bad", "error": "Permission denied (os error 13)"}]
