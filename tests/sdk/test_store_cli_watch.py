"""`sync --watch` of folders that go away and come back."""

import os
import shutil
import signal
import time

import pytest
from store import Gitstore, Service, eventually

pytestmark = pytest.mark.once


@pytest.fixture
def store(tmp_path):
    made = Gitstore(tmp_path)
    made.file("src/a.txt", "a")
    made.file("src/sub/b.txt", "b")
    return made


def stop(watching):
    """Ends it, and returns what it complained of."""
    watching.process.send_signal(signal.SIGINT)
    _, complaints = watching.process.communicate(timeout=20)
    assert watching.process.returncode == 0
    return complaints


@pytest.mark.parametrize("goes", [lambda path: os.rename(path, path.with_name("aside")), shutil.rmtree])
def test_a_watched_folder_that_goes_is_synced_again_when_it_is_back(store, goes):
    with Service(store, "sync", "--watch", "--debounce", "500", "-c", "src", ":w") as watching:
        assert watching.line.startswith("+2  ")
        before = store("hash")
        goes(store.folder / "src")
        time.sleep(1.5)
        assert store("hash") == before and store("ls", "-R", "w") == "w/a.txt\nw/sub/b.txt\n"
        # What happens elsewhere under its old self is nothing to it.
        store.file("aside/elsewhere.txt", "x")
        store.file("src/new.txt", "new")
        eventually(lambda: store("ls", "-R", "w") == "w/new.txt\n")
        # The new folder is watched as the old one was.
        store.file("src/deep/er.txt", "deep")
        eventually(lambda: store("ls", "-R", "w") == "w/deep/er.txt\nw/new.txt\n")
        complaints = stop(watching)
    assert complaints.count("is gone") == 1, complaints


def test_another_folder_under_the_name_is_watched(store):
    store.file("next/c.txt", "c")
    with Service(store, "sync", "--watch", "--debounce", "100", "-c", "src", ":w") as watching:
        os.rename(store.folder / "src", store.folder / "old")
        os.rename(store.folder / "next", store.folder / "src")
        eventually(lambda: store("ls", "-R", "w") == "w/c.txt\n")
        store.file("src/d.txt", "d")
        eventually(lambda: "w/d.txt" in store("ls", "-R", "w"))
        stop(watching)


def test_a_change_in_the_second_of_the_last_commit_is_synced(store):
    with Service(store, "sync", "--watch", "--debounce", "100", "src", ":w") as watching:
        for n in range(10):
            store.file("src/a.txt", f"{n}")
            eventually(lambda n=n: store("cat", "w/a.txt") == f"{n}")
            # Others write to the branch meanwhile.
            store("write", "else", input=f"{n}")
        stop(watching)


def test_a_missing_folder_is_not_watched(store):
    for name in ("nowhere", "src/a.txt"):
        assert name in store.error("sync", "--watch", name, ":w")
