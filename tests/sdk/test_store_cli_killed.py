"""Commands that are killed at any moment: what they leave is whole or gone, and what they leave beside it goes."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from store import store

pytestmark = pytest.mark.once

SECONDS = 60


def start(store, *args, **options):
    return subprocess.Popen(
        [store.program, *args], cwd=store.folder, env=store.env,
        stdin=options.get("stdin", subprocess.DEVNULL), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kill(child):
    child.send_signal(signal.SIGKILL)
    child.wait(SECONDS)


def fill(store):
    """A repository that is not written, read or removed in a moment."""
    for number in range(1200):
        store.file(f"src/{number % 40}/{number}", os.urandom(2000))
    store("cp", "src/", ":")
    store("tag", "set", "v1")
    # Many files to remove, which nobody reads.
    for number in range(1500):
        store.file(f"data.git/objects/{number % 256:02x}/tmp_obj_{number}", "x")


def test_a_repository_is_whole_or_gone_after_destroy_was_killed(store):
    fill(store)
    template = store.folder / "template.git"
    store.repo.rename(template)
    store.file("src/left", "")
    files = store("-r", template, "ls", "-R")

    def restore():
        # Files are shared with the template, as none of them is written to again.
        shutil.copytree(template, store.repo, copy_function=os.link)
        (store.repo / "gitstore.lock").unlink(missing_ok=True)

    restore()
    begun = time.monotonic()
    store("destroy", "-f")
    lasts = time.monotonic() - begun
    seen = set()
    end = time.monotonic() + SECONDS
    dice = random.Random(7)
    rounds = 0
    while time.monotonic() < end and (rounds < 25 or len(seen) < 2):
        rounds += 1
        restore()
        child = start(store, "destroy", "-f")
        time.sleep(dice.uniform(0, 1.1 * lasts))
        kill(child)
        is_there = store.repo.exists()
        seen.add(is_there)
        if is_there:
            assert store("ls", "-R") == files
            store.git("fsck", "--full", "--strict")
            store("destroy", "-f")
        assert not store.repo.exists()
    assert seen == {True, False}, (seen, rounds)
    # What killed ones left beside it goes with the next one.
    store("init")
    store("destroy")
    assert sorted(os.listdir(store.folder)) == ["bin", "src", "template.git"]


def hidden(folder):
    try:
        return {name for name in os.listdir(folder) if name.startswith(".")}
    except FileNotFoundError:
        return set()


def is_locked(path):
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(file)


def stopped_halfway(store, folder, begin):
    """A process that `begin` starts, stopped where it has something under way in a folder, and the name of that."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        before = hidden(folder)
        child = begin()
        while child.poll() is None:
            if hidden(folder) - before:
                child.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                new = hidden(folder) - before
                # Not in the moment between making it and locking it.
                if child.poll() is None and new and all(is_locked(folder / name) for name in new):
                    return child, new
                child.send_signal(signal.SIGCONT)
        child.wait(SECONDS)
    raise AssertionError("it was never seen at work")


@pytest.mark.parametrize("kind", ["init", "destroy", "backup", "bundle", "archive"])
def test_what_is_under_way_stays_while_its_process_lives_and_goes_after_it_was_killed(store, kind):
    fill(store)
    names = iter(range(10_000))

    def begin():
        match kind:
            case "init":
                return start(store, "-r", f"new-{next(names)}.git", "init")
            case "destroy":
                copy = store.folder / f"copy-{next(names)}.git"
                shutil.copytree(store.repo, copy, copy_function=os.link)
                return start(store, "-r", copy, "destroy", "-f")
            case "backup":
                return start(store, "backup", f"backup-{next(names)}.git")
            case "bundle":
                return start(store, "backup", f"backup-{next(names)}.bundle")
            case "archive":
                return start(store, "archive_out", f"files-{next(names)}.tar.gz")

    child, under_way = stopped_halfway(store, store.folder, begin)
    try:
        store("-r", "other.git", "init")
        assert hidden(store.folder) == under_way
    finally:
        kill(child)
    assert hidden(store.folder) == under_way
    store("-r", "another.git", "init")
    assert hidden(store.folder) == set()


def test_what_a_killed_write_received_goes_when_the_repository_is_opened_again(store):
    store("init")
    incoming = store.repo / "objects/incoming-packhouse"
    child = start(store, "write", "large", stdin=subprocess.PIPE)
    try:
        child.stdin.write(b"x" * (20 << 20))
        child.stdin.flush()
        end = time.monotonic() + SECONDS
        while not hidden(incoming):
            assert time.monotonic() < end and child.poll() is None
            time.sleep(0.01)
        under_way = hidden(incoming)
        store("ls")
        assert hidden(incoming) == under_way
    finally:
        kill(child)
    assert hidden(incoming) == under_way
    store("write", "small", input="x")
    assert hidden(incoming) == set()
    store.check()
