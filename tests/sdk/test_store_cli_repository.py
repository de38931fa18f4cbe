"""Repositories on the command line: made, named and destroyed; what is said of wrong usage."""

import json
import os
import re
import subprocess
import tarfile
import zipfile

import pytest
from binary import run
from store import environment, filled, store

pytestmark = pytest.mark.once


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
    main = store.repo / "refs" / "heads" / "main"
    store("write", "a", input="a")
    commit = main.read_text()
    main.write_text("")
    holding("cannot be read")
    main.write_text(commit)
    store.git("update-ref", "--no-deref", "HEAD", commit.strip())
    store.git("update-ref", "-d", "refs/heads/main")
    holding("HEAD names", gone=[("destroy", "-f"), ("init",)])
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
    assert failed.stderr.startswith("Error: File not found: absent\nhint: ")


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
