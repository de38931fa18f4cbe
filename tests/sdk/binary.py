"""The `packhouse` binary as the tests use it: started on a free port, always stopped, its output kept for failures."""

import json
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
BINARY = Path(os.environ.get("PACKHOUSE_BINARY") or TARGET / "debug" / "packhouse").resolve()
START_SECONDS = 30
STOP_SECONDS = 30


def clean_environment():
    """This process's environment without settings of ours and without proxies, so that a test says all it depends on."""
    drop = ("PACKHOUSE_", "AWS_", "GIT_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(drop) and not k.lower().endswith("_proxy")}
    return kept | {"NO_PROXY": "127.0.0.1,localhost"}


@dataclass
class Backend:
    """Where a server keeps its data: flags and variables of `packhouse serve`."""

    name: str
    flags: list = field(default_factory=list)
    variables: dict = field(default_factory=dict)


def run(*args, check=True, env=None, cwd=None, input=None):
    """Runs `packhouse ARGS` to its end and returns the finished process, output as text."""
    done = subprocess.run(
        [str(BINARY), *map(str, args)],
        capture_output=True, text=True, timeout=120, cwd=cwd, input=input, env=clean_environment() | (env or {}),
    )
    if check and done.returncode != 0:
        raise AssertionError(f"packhouse {args} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Server:
    """A running `packhouse serve`."""

    def __init__(self, data, backend=Backend("sqlite-local"), flags=(), env=None):
        self.data = Path(data)
        self.backend = backend
        self.storage_flags = ["--data", str(self.data), *backend.flags]
        self.env = backend.variables | (env or {})
        self.log_path = self.data.parent / f"{self.data.name}.log"
        self.log = open(self.log_path, "ab")
        command = [str(BINARY), "serve", "--json", "--listen", "127.0.0.1:0", *self.storage_flags, *flags]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, env=clean_environment() | self.env
        )
        # A server that hangs before it listens must not hang the tests with it.
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            self.stop()
            raise AssertionError(f"packhouse serve did not start:\n{self.log_text()}")
        self.started = json.loads(line)
        self.url = self.started["url"]
        self.host = self.url.split("://")[1]

    def admin(self, *args, **options):
        """Runs a command on this server's storage, while the server runs."""
        return run(*args, *self.storage_flags, env=self.env, **options)

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def stop(self, signum=signal.SIGTERM):
        """Stops the server and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait()
        self.process.stdout.close()
        self.log.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
