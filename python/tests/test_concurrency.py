"""Several writers at once: threads, processes, and Git."""

import os
import signal
import subprocess
import sys
import threading
import time
from unittest.mock import patch

import pytest

from packhouse.store import FS, GitError, GitStore, StaleSnapshotError, retry_write


def test_retry_write_writes_to_the_newest_state(store, fs):
    fs.write("other", b"1")
    new = retry_write(store, "main", "a", b"2", message="mine", mode=0o100755)
    assert new.read("a") == b"2" and new.exists("other")
    assert new.message == "mine" and new.stat("a").mode == 0o100755
    with pytest.raises(KeyError):
        retry_write(store, "nope", "a", b"1")


def test_retry_write_goes_through_the_visible_write(store, fs):
    original, calls = FS.write, []

    def write(self, path, data, *, message=None, mode=None):
        calls.append((path, data, message, mode))
        if len(calls) < 3:
            raise StaleSnapshotError("somebody else")
        return original(self, path, data, message=message, mode=mode)

    with patch.object(FS, "write", write):
        fs = retry_write(store, "main", "a", b"1", message="m")
    assert calls == [("a", b"1", "m", None)] * 3
    assert fs.read("a") == b"1"


def test_threads_that_retry_are_each_answered(store, fs):
    results = {}

    def write(n):
        for k in range(10):
            results[n, k] = retry_write(store, "main", f"{n}/{k}", b"%d" % k, message=f"{n} {k}")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({new.commit_hash for new in results.values()}) == 60
    for (n, k), new in results.items():
        assert new.read(f"{n}/{k}") == b"%d" % k and new.message == f"{n} {k}"
        assert [entry.path for entry in new.changes.add] == [f"{n}/{k}"]
        assert new.parent.exists(f"{n}/{k}") is False
    assert sum(1 for _ in store.branches["main"].log()) == 61
    assert retry_write(store, "main", "0/0", b"0").commit_hash == store.branches["main"].commit_hash
    with pytest.raises(ValueError):
        retry_write(store, "main", ".git/config", b"")


def test_retry_write_gives_up(store, fs):
    calls = []

    def write(self, path, data, *, message=None, mode=None):
        calls.append(path)
        raise StaleSnapshotError("somebody else")

    with patch.object(FS, "write", write):
        with pytest.raises(StaleSnapshotError):
            retry_write(store, "main", "a", b"1", retries=3)
    assert len(calls) == 3


def test_a_write_inside_a_write_is_seen(store, fs):
    original = FS.write
    interrupted = []

    def write(self, path, data, *, message=None, mode=None):
        if not interrupted:
            interrupted.append(original(store.branches["main"], "between", b"1"))
        return original(self, path, data, message=message, mode=mode)

    with patch.object(FS, "write", write):
        fs = retry_write(store, "main", "a", b"1")
    assert fs.exists("between") and fs.exists("a")


def test_threads_lose_no_write(store, path):
    failures = []

    def work(number):
        try:
            mine = GitStore.open(path, durability="relaxed") if number % 2 else store
            for turn in range(10):
                retry_write(mine, "main", f"t{number}/{turn}", b"%d" % turn)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.branches["main"].ls(recursive=True)) == 80
    assert sum(1 for _ in store.branches["main"].log()) == 81


WORKER = """
import sys
from packhouse.store import GitStore, retry_write
store = GitStore.open(sys.argv[1], durability="relaxed")
for turn in range(20):
    retry_write(store, "main", f"p{sys.argv[2]}/{turn}", b"x", retries=50)
"""


def test_processes_lose_no_write(store, path):
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, path, str(number)]) for number in range(3)
    ]
    for turn in range(20):
        retry_write(store, "main", f"here/{turn}", b"x", retries=50)
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert len(store.branches["main"].ls(recursive=True)) == 80


def test_of_many_writers_of_one_snapshot_one_wins(store, fs):
    outcomes = []
    barrier = threading.Barrier(6)

    def work(number):
        barrier.wait()
        try:
            outcomes.append(fs.write(f"w{number}", b"1").commit_hash)
        except StaleSnapshotError:
            outcomes.append(None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = filter(None, outcomes)
    assert len(outcomes) == 6 and store.branches["main"].commit_hash == winner


def test_other_threads_run_during_a_write(fs, tmp_path):
    """The interpreter is free while the engine works: a counter goes on counting."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(192 << 20)
    ticks, done = 0, threading.Event()

    def write():
        fs.write_from_file("large", large)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.wait(0.002):
        ticks += 1
    thread.join()
    assert ticks >= 10


#: Stops in its turn to write.
STOPS = """
import os, signal, sys
from packhouse.store import GitStore
store = GitStore.open(sys.argv[1], create=False)
store._native.exclusively(lambda: (print("in turn", flush=True), os.kill(os.getpid(), signal.SIGSTOP)))
"""


def test_a_writer_that_was_stopped_is_named_and_not_waited_for_any_longer(store, fs, path):
    with subprocess.Popen([sys.executable, "-c", STOPS, str(path)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "in turn\n"
            refused, began = [], time.monotonic()

            def write(n):
                with pytest.raises(GitError) as error:
                    retry_write(store, "main", str(n), b"1")
                refused.append(str(error.value))

            threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            # All in the time of one.
            assert 4 < time.monotonic() - began < 14
            assert len(refused) == 3
            for text in refused:
                assert "gitstore.lock" in text and f"process {other.pid}, which is stopped" in text
            os.kill(other.pid, signal.SIGCONT)
            assert other.wait(60) == 0
        finally:
            other.kill()
    retry_write(store, "main", "after", b"1")
    assert store.branches["main"].ls() == ["after"]
