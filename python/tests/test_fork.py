"""A process that was forked off writes and copies like any other."""

import os
import signal
import threading
import warnings

import pytest

from packhouse.store import GitStore, retry_write

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
