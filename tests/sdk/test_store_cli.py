"""The command line of embedded stores as a program: pipes, terminals, times and modes."""

import contextlib
import fcntl
import io
import json
import os
import pty
import resource
import select
import stat
import struct
import subprocess
import tarfile
import termios
import time

import pytest
from binary import run
from store import filled, store

pytestmark = pytest.mark.once


def test_a_reader_that_leaves_early_is_no_error(filled):
    env = filled.env | {"PATH": f"{filled.program.parent}:{os.environ['PATH']}"}
    script = "for i in $(seq 40); do gitstore cat hello.txt hello.txt; done | head -1; gitstore ls -R | head -1"
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=120)
    assert done.stderr == "" and done.stdout == "hello world\n.hidden\n"


def test_long_work_shows_what_it_does_on_a_terminal_alone(store):
    store("init")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"))

    def run(*args, until=None):
        """Gives the command its input once it shows something on its terminal; what it prints, and what it shows."""
        terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [store.program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=end,
            env=store.env | {"TERM": "xterm"},
        )  # fmt: skip
        os.close(end)
        shown, stop = b"", time.monotonic() + 60
        while until is not None and until not in shown:
            assert time.monotonic() < stop, shown
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096)
        printed, _ = process.communicate(archive.getvalue(), timeout=60)
        assert process.returncode == 0
        # What is left to read, until the other end is closed.
        with contextlib.suppress(OSError):
            while more := os.read(terminal, 4096):
                shown += more
        os.close(terminal)
        return printed, shown

    printed, shown = run("untar", until=b"unpacking")
    assert printed == b"" and shown.count(b"\n") == 0, "the line goes when the work is done"
    printed, shown = run("--json", "untar")
    assert json.loads(printed)["add"] == [] and shown == b""
    assert store.run("untar", input=archive.getvalue(), text=False).stderr == b""


def test_pack_and_gc_change_nothing_visible(filled):
    before = filled("ls", "-R", "-l", "--full-hash")
    assert filled.json("--json", "pack")["packed"] > 0
    filled("gc")
    assert filled("ls", "-R", "-l", "--full-hash") == before
    assert filled.git("count-objects", "-v").splitlines()[0] == "count: 0"


def test_commands_answer_at_once(filled):
    """10 ms are promised. The program that is tested is not optimised, and so has twice as long: of a processor, at best."""

    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    for args in (["cat", "hello.txt"], ["ls", "-R"], ["--version"]):
        costs = []
        for _ in range(10):
            before = spent()
            filled(*args)
            costs.append(spent() - before)
        assert min(costs) < 0.02, args


def test_executables_stay_executable(store):
    store.file("run.sh", "#!/bin/sh\n", mode=0o755)
    store("cp", "run.sh", ":")
    assert store.git("ls-tree", "main").startswith("100755 ")
    store("cp", ":run.sh", "out.sh")
    assert os.stat(store.folder / "out.sh").st_mode & stat.S_IXUSR
