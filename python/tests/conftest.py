"""A store to test with; whatever a test did to it, Git finds nothing wrong afterwards."""

import os
import subprocess

import pytest

from packhouse.store import GitStore


@pytest.fixture(autouse=True)
def no_git_configuration(monkeypatch):
    """The user's and the machine's Git settings change nothing here."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for person in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{person}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{person}_EMAIL", "somebody@localhost")


class Git:
    """Stock Git on one repository."""

    def __init__(self, path):
        self.path = path

    def __call__(self, *arguments, input=None):
        """What the command prints, without the newline at its end."""
        done = subprocess.run(
            ["git", "-C", self.path, *arguments], capture_output=True, input=input
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def check(self):
        """Fails if Git finds anything wrong."""
        assert self("fsck", "--full", "--strict", "--no-dangling") == ""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.git"


@pytest.fixture
def store(path):
    store = GitStore.open(path, create="main")
    yield store
    Git(path).check()


@pytest.fixture
def fs(store):
    return store.branches["main"]


@pytest.fixture
def git(store, path):
    """Stock Git on the store's repository."""
    return Git(path)


@pytest.fixture
def git_of():
    """Stock Git on any repository."""
    return Git


@pytest.fixture
def files(fs):
    """A snapshot with files, directories, an executable and a link."""
    return fs.apply(
        {
            "a.txt": b"alpha",
            "dir/b.txt": b"bravo",
            "dir/sub/c.txt": b"charlie",
            "dir.d/x": b"x",
            ".hidden/h.txt": b"hidden",
        }
    ).write("run.sh", b"#!/bin/sh\n", mode=0o100755).write_symlink("link", "dir/b.txt")


@pytest.fixture
def tag(store, files):
    """A read-only snapshot."""
    store.tags["v1"] = files
    return store.tags["v1"]
