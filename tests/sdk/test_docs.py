"""The pages of docs/cli and the guide, and the README: their `console` blocks are run, and what they show is compared.

A line that starts with `$ ` is typed into one bash per page, in an empty folder, with `> ` for its continuation; the
lines below it are what it prints. `…` stands for any text, and alone on a line for any lines. A command that serves is
started in the background, as in a second terminal, and stopped at the end of the page; the address the pages show is
replaced by a free one, and so is the port for SSH. A command must succeed unless its page shows an `error:`.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from binary import BINARY, ROOT, clean_environment, run

pytestmark = pytest.mark.once

FOLDERS = ["docs/cli", "docs/guide/src"]
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted((ROOT / folder).glob("**/*.md")))]
SHOWN_ADDRESS = "127.0.0.1:8080"
SHOWN_SSH_PORT = "2222"
SHOWN_PORT = "--port 8080"
SERVING = ("packhouse serve", "packhouse store serve", "packhouse store gitserve")
MARK = "--- end of output"
SECONDS = 60


def commands(page):
    """The commands of a page in order, each with the lines it should print."""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.S | re.M):
        command, expected = None, []
        for line in block.splitlines():
            if line.startswith("$ "):
                if command is not None:
                    yield command, expected
                command, expected = line[2:], []
            elif (line.startswith("> ") or line == ">") and not expected:
                command += "\n" + line[2:]
            else:
                expected.append(line)
        yield command, expected


def matches(expected, printed):
    """Whether the lines are those expected, with `…` for what may vary."""
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(map(re.escape, line.split("…"))) + "\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


class Terminal:
    """One bash in a folder of its own, and the servers that were started in it."""

    def __init__(self, folder):
        programs = folder / ".programs"
        programs.mkdir()
        (programs / "packhouse").symlink_to(BINARY)
        (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (programs / "python3").chmod(0o755)
        with socket.socket() as probe, socket.socket() as ssh_probe:
            probe.bind(("127.0.0.1", 0))
            ssh_probe.bind(("127.0.0.1", 0))
            self.port, self.ssh_port = probe.getsockname()[1], str(ssh_probe.getsockname()[1])
        self.address = f"127.0.0.1:{self.port}"
        self.folder = folder
        self.environment = clean_environment() | {
            "PATH": f"{programs}:{os.environ['PATH']}", "PACKHOUSE_LISTEN": self.address,
            "PACKHOUSE_URL": f"http://{self.address}",
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
        }  # fmt: skip
        self.servers = []
        self.bash = self.start(["bash"], stdin=subprocess.PIPE, stderr=subprocess.STDOUT)

    def start(self, command, **streams):
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, **streams
        )

    def run(self, command):
        """Types a command; returns its exit status and what it printed."""
        # The mark starts on a line of its own whether or not the output ended with one.
        command = command.replace(SHOWN_ADDRESS, self.address).replace(SHOWN_SSH_PORT, self.ssh_port)
        text = f"{command}\n__status=$?; printf '\\n%s %s\\n' '{MARK}' $__status\n"
        self.bash.stdin.write(text)
        self.bash.stdin.flush()
        watchdog = threading.Timer(SECONDS, self.bash.kill)
        watchdog.start()
        printed = []
        for line in self.bash.stdout:
            if line.startswith(MARK):
                break
            printed.append(self.as_shown(line))
        else:
            raise AssertionError(f"bash ended during: {command}\n" + "\n".join(printed))
        watchdog.cancel()
        if printed and printed[-1] == "":
            printed.pop()
        return int(line.split()[-1]), printed

    def serve(self, command, expected):
        """Starts a server; returns as many lines as the page shows before it leaves out the rest."""
        command = command.replace(SHOWN_PORT, f"--port {self.port}").replace(SHOWN_SSH_PORT, self.ssh_port)
        words = command.split()
        server = self.start(words, stderr=subprocess.DEVNULL)
        self.servers.append(server)
        watchdog = threading.Timer(SECONDS, server.kill)
        watchdog.start()
        shown = expected[:-1] if expected[-1:] == ["…"] else expected
        printed = [server.stdout.readline().rstrip("\n") for _ in shown or ["the first line"]]
        watchdog.cancel()
        # What it prints later must not fill the pipe.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        return [self.as_shown(line) for line in printed] if shown else []

    def as_shown(self, line):
        """What was printed, with the addresses that the pages show."""
        return line.rstrip("\n").replace(self.address, SHOWN_ADDRESS).replace(f":{self.ssh_port}", f":{SHOWN_SSH_PORT}")

    def stop(self):
        statuses = []
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            try:
                statuses.append(server.wait(30))
            except subprocess.TimeoutExpired:
                server.kill()
                statuses.append(server.wait())
        self.bash.stdin.close()
        self.bash.stdout.close()
        self.bash.wait(10)
        return statuses


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page, tmp_path):
    terminal = Terminal(tmp_path)
    try:
        for command, expected in commands(page):
            if command.startswith(SERVING):
                printed = terminal.serve(command, expected)
                expected = expected[:-1] if expected[-1:] == ["…"] else expected
            else:
                status, printed = terminal.run(command)
                fails = bool(expected) and expected[0].startswith(("error: ", "Error: "))
                assert (status != 0) == fails, f"$ {command}\nended with {status}\n" + "\n".join(printed)
            assert matches(expected, printed), f"$ {command}\n" + "\n".join(printed) + "\n--- expected\n" + "\n".join(expected)
    finally:
        statuses = terminal.stop()
    assert set(statuses) <= {0}


def test_every_command_has_a_page():
    shown = run("--help").stdout.split("Commands:")[1].split("Options:")[0]
    names = {line.split()[0] for line in shown.splitlines() if line.strip() and not line.startswith("     ")} - {"help"}
    assert names == {page.stem for page in (ROOT / "docs/cli").glob("*.md")} - {"README"}
    index = (ROOT / "docs/cli/README.md").read_text()
    assert all(f"({Path(name)}.md)" in index for name in names)


def test_every_store_command_is_explained():
    shown = run("store", "--help").stdout.split("Commands:")[1].split("Options:")[0]
    names = {line.split()[0] for line in shown.strip().splitlines() if not line.startswith("     ")} - {"help"}
    index = (ROOT / "docs/cli/store.md").read_text()
    explained = {name for row in re.findall(r"^\|(.*?)\|", index, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert names <= explained, names - explained
    pages = {page.name for page in (ROOT / "docs/cli/store").glob("*.md")}
    assert pages == set(re.findall(r"\(store/([^)#]+)\)", index))


def test_links_lead_somewhere():
    for page in [*PAGES, ROOT / "docs/GLOSSARY.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            # Written by `make bench`.
            if target != "docs/benchmarks.md":
                assert (page.parent / target).exists(), f"{page.name}: {target}"
