"""The command line of embedded stores, as the tests type it: `gitstore …` on a repository in a folder of its own."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from binary import BINARY, START_SECONDS, STOP_SECONDS, clean_environment

SECONDS = 120


def environment(**variables):
    dropped = ("GITSTORE_REPO", "VOST_REPO")
    kept = {name: value for name, value in clean_environment().items() if name not in dropped}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | variables


class Gitstore:
    """The program under its own name, in a folder with a repository that need not exist yet."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.program = self.folder / "bin" / "gitstore"
        self.program.parent.mkdir(exist_ok=True)
        if not self.program.is_symlink():
            self.program.symlink_to(BINARY)
        self.repo = self.folder / "data.git"
        self.env = environment(GITSTORE_REPO=str(self.repo))

    def run(self, *args, input=None, env=None, text=True, cwd=None):
        if isinstance(input, str) and not text:
            input = input.encode()
        return subprocess.run(
            [self.program, *args], input=input, capture_output=True, text=text, timeout=SECONDS,
            cwd=cwd or self.folder, env=self.env if env is None else env,
        )  # fmt: skip

    def __call__(self, *args, **options):
        """Runs a command that has to succeed, and returns what it printed."""
        done = self.run(*args, **options)
        assert done.returncode == 0, (args, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *args, **options):
        return json.loads(self(*args, **options))

    def fails(self, *args, status=1, **options):
        """Runs a command that has to fail, and returns what it complained."""
        done = self.run(*args, **options)
        assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
        return done.stderr

    def error(self, *args, **options):
        complaint = self.fails(*args, **options)
        assert complaint.startswith("Error: "), complaint
        return complaint

    def file(self, path, content="", mode=None):
        """A local file, made with the folders above it."""
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            path.chmod(mode)
        return path

    def git(self, *args):
        done = subprocess.run(
            ["git", "-C", self.repo, *args], capture_output=True, text=True, timeout=SECONDS, env=environment()
        )
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def check(self):
        """What git says about the repository, which must be nothing bad."""
        assert "error" not in self.git("fsck", "--full", "--strict")


@pytest.fixture
def store(tmp_path):
    made = Gitstore(tmp_path)
    yield made
    if (made.repo / "HEAD").exists():
        made.check()


@pytest.fixture
def filled(store):
    """A repository with a few files, each from a commit of its own."""
    store("write", "hello.txt", input="hello world\n")
    store("write", "src/main.py", input="print()\n")
    store("write", "src/sub/deep.txt", input="deep\n")
    store("write", ".hidden", input="h\n")
    return store


class Service:
    """A command that goes on until it is told to stop."""

    def __init__(self, store, *args):
        self.process = subprocess.Popen(
            [store.program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=store.folder, env=store.env
        )
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        self.line = self.process.stdout.readline().rstrip("\n")
        watchdog.cancel()
        assert self.line, self.process.stderr.read()

    @property
    def url(self):
        return self.line.split()[-1].rstrip("/")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.output, self.complaints = self.process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.output, self.complaints = self.process.communicate()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        status = self.stop()
        assert kind is not None or status == 0, (status, self.complaints)


def eventually(check, seconds=20):
    """Waits until `check` returns something true."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
    return found
