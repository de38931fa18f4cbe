"""A process that was forked off writes and copies like any other."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest

from packhouse.store import GitStore, aio, retry_write

#: More files than are handled one by one.
MANY = 200


def write_many(store: GitStore, folder: str) -> None:
    with store.branches["main"].batch() as batch:
        for n in range(MANY):
            batch.write(f"{folder}/{n}", b"%d" % n)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own(store, fs, tmp_path):
    local = tmp_path / "local"
    local.mkdir()
    for n in range(MANY):
        (local / str(n)).write_text(str(n))
    # The threads are started here, and are not there in the child.
    write_many(store, "parent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            write_many(store, "child")
            store.branches["main"].copy_in([str(local)], "copied")
            store.branches["main"].copy_out([""], str(tmp_path / "out"))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(store.branches["main"].ls("copied/local")) == MANY
    assert len(os.listdir(tmp_path / "out" / "child")) == MANY
    write_many(store, "after")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_process_that_is_forked_off_while_a_thread_writes_writes_too(store, fs):
    at_work, may_end = threading.Event(), threading.Event()

    def hold_the_turn():
        at_work.set()
        may_end.wait(60)

    thread = threading.Thread(target=store._native.exclusively, args=(hold_the_turn,))
    thread.start()
    at_work.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            retry_write(store, "main", "child", b"1")
            os._exit(0)
        finally:
            os._exit(1)
    may_end.set()
    thread.join()
    retry_write(store, "main", "parent", b"1")
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(store.branches["main"].ls()) == ["child", "parent"]


def fork_and(work):
    """The number of a child that does this and ends; it is killed if that takes a minute."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child != 0:
        return child
    signal.alarm(60)
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


class Writers:
    """Threads that write to a store, each a file of its own again and again, while the block runs."""

    def __init__(self, store, count):
        self.store, self.stop, self.written = store, threading.Event(), [0] * count
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(count)]

    def write(self, n):
        while not self.stop.is_set():
            self.written[n] += 1
            retry_write(self.store, "main", f"thread/{n}", b"%d" % self.written[n])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_children_forked_at_any_moment_write_and_list(path, durability):
    store = GitStore.open(path, create="main", durability=durability)

    def work(n):
        retry_write(store, "main", f"child/{n}", b"%d" % n)
        for _, fs in store.branches.items():
            fs.ls()

    with Writers(store, 3) as writers:
        for n in range(0, 60, 4):
            children = [fork_and(lambda n=n, k=k: work(n + k)) for k in range(4)]
            assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    main = store.branches["main"]
    assert sorted(main.ls("child"), key=int) == [str(n) for n in range(60)]
    assert [int(main.read(f"thread/{n}")) for n in range(3)] == writers.written
    # No write is lost: the first commit, and one for each.
    assert sum(1 for _ in main.log()) == 1 + 60 + sum(writers.written)


#: The store that a pool's processes take over from their parent.
SHARED = []


def write_in_pool(n):
    retry_write(SHARED[0], "main", f"pool/{n}", b"1")
    return len(list(SHARED[0].branches["main"].log()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pool_of_forked_processes_writes_while_threads_write(store, fs):
    SHARED[:] = [store]
    context = multiprocessing.get_context("fork")
    with Writers(store, 2):
        for round in range(5):
            with context.Pool(2) as pool:
                jobs = pool.map_async(write_in_pool, range(round * 10, round * 10 + 10))
                assert len(jobs.get(60)) == 10
    SHARED.clear()
    assert len(store.branches["main"].ls("pool")) == 50


#: Writes, and forks children that do nothing and live on, until it is killed.
KILLED = textwrap.dedent("""
    import os, sys, threading, time, warnings
    from packhouse.store import GitStore, retry_write
    warnings.simplefilter("ignore", DeprecationWarning)
    store = GitStore.open(sys.argv[1], create=False)
    def write(n):
        while True:
            retry_write(store, "main", f"{n}", os.urandom(8))
    for n in range(2):
        threading.Thread(target=write, args=(n,), daemon=True).start()
    for _ in range(8):
        time.sleep(0.02)
        child = os.fork()
        if child == 0:
            time.sleep(120)
            os._exit(0)
        print(child, flush=True)
    print("forked", flush=True)
    time.sleep(120)
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("round", range(5))
def test_children_of_a_killed_writer_keep_nobody_waiting(store, fs, path, round):
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    children = []
    try:
        for line in writer.stdout:
            if line == "forked\n":
                break
            children.append(int(line))
        assert len(children) == 8
        writer.kill()
        writer.wait()
        writer.stdout.close()
        begun = time.monotonic()
        retry_write(store, "main", "after", b"1")
        # The locks of the killed one are known as its.
        assert time.monotonic() - begun < 3
    finally:
        writer.kill()
        writer.wait()
        for child in children:
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_in_a_turn_is_not_in_that_turn(store, fs):
    def work():
        # Waits for the parent's turn to end, and has one of its own then.
        retry_write(store, "main", "child", b"1")

    children = []
    store._native.exclusively(lambda: children.append(fork_and(work)) or time.sleep(0.3))
    retry_write(store, "main", "parent", b"1")
    assert os.waitpid(children[0], 0)[1] == 0
    assert sorted(store.branches["main"].ls()) == ["child", "parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_coroutines_run_in_a_child_too(store, fs, path):
    async def write(name):
        opened = await aio.GitStore.open(path)
        main = await opened.branches["main"]
        await main.write(name, b"1")

    asyncio.run(write("parent"))
    child = fork_and(lambda: asyncio.run(write("child")))
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(store.branches["main"].ls()) == ["child", "parent"]
