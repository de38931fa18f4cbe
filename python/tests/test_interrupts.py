"""Calls end when a signal comes, or when they are cancelled, while they wait for others or read what is large."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from packhouse.store import ExcludeFilter, GitStore, aio, retry_write

HOLDER = """
import sys, time
from packhouse.store import GitStore
def hold():
    print("held", flush=True)
    sys.stdin.read()
GitStore.open(sys.argv[1])._native.exclusively(hold)
"""
LARGE = 512 << 20
SOON = 20


class Alarm(Exception):
    pass


@pytest.fixture
def alarm():
    """Raises in a moment, from the handler of a signal."""

    def ring(*_):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.2)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def held(store):
    """Another process has its turn, until this is called."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, store.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=os.path.dirname(store.path),
    )
    assert holder.stdout.readline() == b"held\n"

    def let_go():
        holder.stdin.close()
        assert holder.wait(SOON) == 0

    # What does not end by itself ends too late.
    late = threading.Timer(SOON, holder.kill)
    late.start()
    yield let_go
    late.cancel()
    holder.kill()
    holder.stdin.close()
    holder.wait()
    holder.stdout.close()


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(LARGE)
    return path


@pytest.mark.parametrize(
    "write",
    [
        lambda store: retry_write(store, "main", "x", b"1"),
        lambda store: store.branches["main"].write("x", b"1"),
        lambda store: store.branches["main"].apply({"x": b"1"}),
    ],
)
def test_a_signal_ends_the_wait_for_a_turn(store, held, alarm, write):
    before = store.branches["main"].commit_hash
    began = time.monotonic()
    alarm()
    with pytest.raises(Alarm):
        write(store)
    assert time.monotonic() - began < SOON / 2
    held()
    assert store.branches["main"].commit_hash == before
    assert write(store).read("x") == b"1"


def test_cancelling_ends_the_wait_for_a_turn(store, held):
    before = store.branches["main"].commit_hash

    async def write():
        fs = await (await aio.GitStore.open(store.path)).branches["main"]
        began = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(fs.write("x", b"1"), 0.3)
        assert time.monotonic() - began < SOON / 2
        held()
        await fs.write("y", b"1")

    asyncio.run(write())
    fs = store.branches["main"]
    assert fs.back(1).commit_hash == before and fs.ls() == ["y"]


def test_who_gives_up_takes_nothing_from_those_who_wait(store, held, alarm):
    written = []

    def write(name):
        written.append(retry_write(store, "main", name, b"1"))

    others = [threading.Thread(target=write, args=(str(n),)) for n in range(4)]
    for other in others[:2]:
        other.start()
    alarm()
    with pytest.raises(Alarm):
        retry_write(store, "main", "x", b"1")
    for other in others[2:]:
        other.start()
    held()
    for other in others:
        other.join()
    assert store.branches["main"].ls() == ["0", "1", "2", "3"] and len(written) == 4


@pytest.mark.parametrize(
    "write",
    [
        lambda fs, path: fs.write_from_file("x", path),
        lambda fs, path: fs.apply({"x": path}),
        lambda fs, path: fs.copy_in([str(path)], ""),
    ],
)
def test_a_signal_ends_the_reading_of_a_large_file(store, large, alarm, write):
    fs = store.branches["main"]
    alarm()
    with pytest.raises(Alarm):
        write(fs, large)
    assert store.branches["main"].commit_hash == fs.commit_hash


def test_a_signal_ends_an_archive_of_a_large_file(store, tmp_path, alarm):
    fs = store.branches["main"].write("x", bytes(LARGE // 4))
    alarm()
    with pytest.raises(Alarm):
        fs.archive_out(str(tmp_path / "x.tar.xz"))
    assert not (tmp_path / "x.tar.xz").exists()


@pytest.fixture
def pipe(tmp_path):
    """A pipe whose writer says nothing."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: open(path, "wb").close())
    writer.start()
    yield path
    while writer.is_alive():
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writer.join(0.05)


@pytest.mark.parametrize(
    "read",
    [
        lambda fs, path: fs.write_from_file("x", path),
        lambda fs, path: fs.apply({"x": path}),
        lambda fs, path: fs.batch().write_from_file("x", path),
        lambda fs, path: ExcludeFilter(exclude_from=path),
    ],
)
def test_what_is_no_file_is_not_read(store, pipe, read):
    fs = store.branches["main"]
    for path in (pipe, pathlib.Path(os.devnull)):
        with pytest.raises(OSError, match="not a regular file"):
            read(fs, path)
    assert store.branches["main"].commit_hash == fs.commit_hash


BATCH = """
import signal, sys
from packhouse.store import GitStore
batch = GitStore.open(sys.argv[1]).branches["main"].batch()
batch.write("x", b"1")
file = batch.writer("z")
def use(*_):
    for attempt in (
        batch._native.discard,
        batch.commit,
        lambda: batch.write("y", b"2"),
        lambda: batch.writer("y"),
        lambda: file._native.finish(),
    ):
        try:
            attempt()
        except RuntimeError as error:
            assert "in use" in str(error), error
        else:
            raise AssertionError("it was used")
    print("refused", flush=True)
signal.signal(signal.SIGALRM, use)
signal.setitimer(signal.ITIMER_REAL, 0.2)
print(batch.commit().ls())
"""
LOCKED = """
import os, signal, sys
from packhouse.store import GitStore
store = GitStore.open(sys.argv[1])
fs = store.branches["main"]
lock = os.path.join(store.path, "refs", "heads", "locked.lock")
open(lock, "x").close()
def write(*_):
    store.branches["other"] = fs
    os.remove(lock)
signal.signal(signal.SIGALRM, write)
signal.setitimer(signal.ITIMER_REAL, 0.2)
store.branches["locked"] = fs
"""
WAITING = """
import signal, sys
from packhouse.store import GitStore, retry_write
store = GitStore.open(sys.argv[1])
def write(*_):
    try:
        retry_write(store, "main", "inner", b"1")
    except RuntimeError as error:
        print("refused", flush=True)
        raise
signal.signal(signal.SIGALRM, write)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    retry_write(store, "main", "outer", b"1")
except RuntimeError as error:
    print(error)
"""


@pytest.fixture
def start(store):
    """Starts a script on the store, which is killed if it hangs."""
    scripts = []

    def run(script):
        process = subprocess.Popen(
            [sys.executable, "-c", script, store.path],
            stdout=subprocess.PIPE,
            cwd=os.path.dirname(store.path),
            text=True,
        )
        late = threading.Timer(SOON, process.kill)
        late.start()
        scripts.append((process, late))
        return process

    yield run
    for process, late in scripts:
        late.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_handler_cannot_use_the_batch_that_it_interrupts(store, held, start):
    script = start(BATCH)
    assert script.stdout.readline() == "refused\n"
    held()
    assert script.stdout.read() == "['x']\n" and script.wait(SOON) == 0


def test_a_handler_writes_while_a_write_waits_for_git(store, start):
    script = start(LOCKED)
    assert script.wait(SOON) == 0
    assert sorted(store.branches) == ["locked", "main", "other"]


def test_a_handler_cannot_write_while_its_thread_waits_for_its_turn(store, held, start):
    script = start(WAITING)
    assert script.stdout.readline() == "refused\n"
    assert "waits for" in script.stdout.read() and script.wait(SOON) == 0
    held()
    assert store.branches["main"].ls() == []


def test_threads_take_turns_with_a_batch(store):
    with store.branches["main"].batch() as batch:
        def write(number):
            for turn in range(50):
                batch.write(f"{number}/{turn}", b"1")
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(batch.fs.ls(recursive=True)) == 200
