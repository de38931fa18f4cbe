"""`packhouse cache serve` as a build farm uses it: real `git` in front of it, a counting upstream with accounts behind it."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from binary import BINARY, START_SECONDS, STOP_SECONDS, clean_environment

# What the tests of the package have behind their cache.
sys.path.append(str(Path(__file__).parents[2] / "python" / "tests"))
import git_http  # noqa: E402

pytestmark = pytest.mark.once

#: Who may read what.
READERS = {"one.git": {"alice", "carol"}, "two.git": {"bob"}}


def git(*args, check=True, cwd=None):
    environment = clean_environment() | {
        "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
    }  # fmt: skip
    done = subprocess.run(
        ["git", *map(str, args)], capture_output=True, text=True, timeout=120, cwd=cwd, env=environment
    )
    assert not check or done.returncode == 0, done.stderr
    return done


class Upstream(git_http.Site):
    """Bare repositories, each for its readers, whose password is their name backwards."""

    def __init__(self, folder, url):
        super().__init__(folder, url)
        self.host = urlsplit(url).netloc
        self.users = []  # who asked, in the order of requests
        self.broken = None  # the status of every answer

    def refusal(self, headers, path):
        user, password = git_http.credentials(headers)
        self.users.append(user)
        if self.broken:
            return self.broken, [("Content-Type", "text/html")], b"<p>broken</p>"
        if not user or password != user[::-1]:
            return 401, [("WWW-Authenticate", 'Basic realm="upstream"')], b""
        if user not in READERS.get(path.split("/")[1], ()):
            return 403, [("Content-Type", "text/plain")], b"not for you"
        return None


@pytest.fixture
def upstream(tmp_path):
    work = tmp_path / "work"
    git("init", "-q", "-b", "main", work)
    for number in range(5):
        (work / "file").write_text(f"content {number}\n")
        git("add", "file", cwd=work)
        git("commit", "-q", "-m", f"Number {number}", cwd=work)
    for name in READERS:
        git("clone", "-q", "--bare", work, tmp_path / "upstream" / name)
    with git_http.serving(tmp_path / "upstream", Upstream) as site:
        yield site


class Proxy:
    def __init__(self, folder, upstream):
        self.folder, self.upstream = folder, upstream
        self.log = folder / "proxy.log"
        command = [str(BINARY), "cache", "serve", "--json", "--root", str(folder / "cache")]
        command += ["--listen", "127.0.0.1:0", "--allow", upstream.host, "--allow-private-addresses"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=clean_environment())
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            self.close()
            raise AssertionError(f"packhouse cache serve did not start:\n{self.log.read_text()}")
        self.url = json.loads(line)["url"]

    def clone(self, user, repo, to, check=True):
        """Clones the upstream's own URL, which a setting of git sends here; git asks a helper who the user is."""
        settings = [f"url.{self.url}http/{self.upstream.host}/.insteadOf=http://{self.upstream.host}/"]
        if user:
            settings.append(f"credential.helper=!f() {{ echo username={user}; echo password={user[::-1]}; }}; f")
        options = [option for setting in settings for option in ("-c", setting)]
        return git(*options, "clone", "-q", f"http://{self.upstream.host}/{repo}", self.folder / to, check=check)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.stdout.close()
        return self.process.wait()


@pytest.fixture
def proxy(upstream, tmp_path):
    running = Proxy(tmp_path, upstream)
    yield running
    assert running.close() == 0, running.log.read_text()


def test_sixteen_cold_clones_are_one_fetch_of_the_upstream(upstream, proxy, tmp_path):
    who = ["alice", "carol"] * 8
    with ThreadPoolExecutor(len(who)) as threads:
        for done in [threads.submit(proxy.clone, user, "one.git", f"clone-{n}") for n, user in enumerate(who)]:
            done.result()
    assert len(upstream.fetches()) == 1
    tip = git("rev-parse", "main", cwd=tmp_path / "work").stdout
    for number in range(len(who)):
        clone = tmp_path / f"clone-{number}"
        assert git("rev-parse", "HEAD", cwd=clone).stdout == tip
        git("fsck", "--full", "--strict", cwd=clone)
    # Each of them was asked about, with credentials of its own.
    assert {"alice", "carol"} <= set(upstream.users)


def test_nobody_is_served_what_only_another_may_read(upstream, proxy, tmp_path):
    proxy.clone("alice", "one.git", "of-alice")
    before = upstream.fetches()
    for user, told in (("bob", "403"), (None, "could not read Username"), ("mallory", "403")):
        refused = proxy.clone(user, "one.git", f"of-{user}", check=False)
        assert refused.returncode != 0 and told in refused.stderr, refused.stderr
        assert not (tmp_path / f"of-{user}" / "file").exists()
    assert "bob" in upstream.users and "mallory" in upstream.users
    # What bob may read he gets, and alice does not.
    proxy.clone("bob", "two.git", "two-of-bob")
    assert proxy.clone("alice", "two.git", "two-of-alice", check=False).returncode != 0
    # From the disk, as the upstream lets carol in.
    proxy.clone("carol", "one.git", "of-carol")
    assert [path for path in upstream.fetches() if "one.git" in path] == before
    for secret in ("ecila", "bob"[::-1], "lorac"):
        encoded = base64.b64encode(f"{secret[::-1]}:{secret}".encode())
        for parent, _, names in os.walk(tmp_path / "cache"):
            for name in names:
                assert encoded not in open(os.path.join(parent, name), "rb").read()
        assert encoded.decode() not in proxy.log.read_text()


def test_an_upstream_that_fails_is_said_to_and_nobody_is_asked_for_a_password(upstream, proxy):
    for status, told in ((500, 502), (503, 503)):
        upstream.broken = status
        for user in (None, "alice"):
            failed = proxy.clone(user, "one.git", "never", check=False)
            assert failed.returncode != 0 and "Username" not in failed.stderr, failed.stderr
            assert f"one.git answers with HTTP status {status}" in failed.stderr, failed.stderr
            assert f"returned error: {told}" in failed.stderr, failed.stderr


def test_an_upstream_that_is_gone_is_said_to_be(tmp_path):
    with git_http.serving(tmp_path, Upstream) as upstream:
        proxy = Proxy(tmp_path, upstream)
    failed = proxy.clone(None, "one.git", "never", check=False)
    assert proxy.close() == 0, proxy.log.read_text()
    assert failed.returncode != 0 and "Username" not in failed.stderr, failed.stderr
    assert "one.git cannot be reached" in failed.stderr and "returned error: 502" in failed.stderr, failed.stderr
