"""The command line on repositories that others made."""

import os
import subprocess
import tarfile

import pytest
from store import environment, store

pytestmark = pytest.mark.once


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
            sentence, hint = complaint.splitlines()
            assert says in sentence and hint.startswith("hint: ")
        assert store.git("count-objects").startswith("0 objects") and not (store.repo / "gitstore.lock").exists()
        subprocess.run(["rm", "-r", store.repo], check=True)


def test_names_of_refs_may_be_given_as_the_bytes_that_they_are(store):
    raw, quoted = b"caf\xe9", '"caf\\351"'
    store("init", "-b", raw)
    assert store("branch") == f"{quoted}\n" == store("branch", "current")
    store("write", "-b", raw, "a", "--tag", raw + b"-tag", input="a")
    store("write", raw + b":b", input="b")
    store("branch", "set", b"two-" + raw, "--ref", raw)
    store("write", "-b", b"two-" + raw, "c", "--parent", raw + b"~1", input="c")
    assert store("ls", "--ref", b"two-" + raw).split() == ["a", "b", "c"]
    assert store("cat", "-b", raw, "b") == "b" == store("cat", raw + b":b") == store("cat", "-b", quoted, "b")
    for kind, name in (("branch", raw), ("branch", quoted), ("tag", raw + b"-tag")):
        store(kind, "exists", name)
        assert len(store(kind, "hash", name)) == 41
    store("branch", "current", "-b", b"two-" + raw)
    store("backup", "copy.git", "--ref", raw + b":new-" + raw, "--ref", b"two-" + raw)
    names = subprocess.run(
        ["git", "-C", store.folder / "copy.git", "for-each-ref", "--format=%(refname)"], check=True, capture_output=True
    ).stdout
    assert names.splitlines() == [b"refs/heads/new-" + raw, b"refs/heads/two-" + raw]
    store("tag", "delete", raw + b"-tag")
    store("branch", "delete", raw)
    assert store("tag") == "" and store.run("branch", "exists", raw).returncode == 1
