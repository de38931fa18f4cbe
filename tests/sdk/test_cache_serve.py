"""`packhouse cache serve` as a build farm uses it: real `git` in front of it, a counting upstream with accounts behind it."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from binary import BINARY, START_SECONDS, STOP_SECONDS, clean_environment

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


class Upstream:
    """Bare repositories behind `git http-backend`, each for its readers, whose password is their name backwards."""

    def __init__(self, folder):
        self.folder = folder
        self.fetches = []  # (user, repository) of each request for objects that was let in
        self.users = []  # who asked, in the order of requests
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def backend(self, method, url, headers, body):
        environment = clean_environment() | {
            "GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROTOCOL": headers.get("Git-Protocol", ""), "PATH_INFO": url.path, "QUERY_STRING": url.query,
            "REQUEST_METHOD": method, "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1",
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, timeout=60)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = [line.partition(": ")[::2] for line in head.decode().split("\r\n") if line]
        status = next((int(value[:3]) for name, value in fields if name == "Status"), 200)
        return status, [(name, value) for name, value in fields if name != "Status"], answer

    def handler(upstream):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def body(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def answer(self):
                body = self.body()
                if self.headers.get("Content-Encoding") == "gzip":
                    body = zlib.decompress(body, 31)
                url = urlsplit(self.path)
                repo = url.path.split("/")[1]
                given = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2]).decode()
                user, _, password = given.partition(":")
                upstream.users.append(user)
                if not user or password != user[::-1]:
                    return self.send(401, [("WWW-Authenticate", 'Basic realm="upstream"')], b"")
                if user not in READERS.get(repo, ()):
                    return self.send(403, [("Content-Type", "text/plain")], b"not for you")
                if b"command=fetch" in body or b"want " in body:
                    upstream.fetches.append((user, repo))
                self.send(*upstream.backend(self.command, url, self.headers, body))

            do_GET = do_POST = answer

            def send(self, status, headers, body):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


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
    running = Upstream(tmp_path / "upstream")
    yield running
    running.close()


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
    assert len(upstream.fetches) == 1
    tip = git("rev-parse", "main", cwd=tmp_path / "work").stdout
    for number in range(len(who)):
        clone = tmp_path / f"clone-{number}"
        assert git("rev-parse", "HEAD", cwd=clone).stdout == tip
        git("fsck", "--full", "--strict", cwd=clone)
    # Each of them was asked about, with credentials of its own.
    assert {"alice", "carol"} <= set(upstream.users)


def test_nobody_is_served_what_only_another_may_read(upstream, proxy, tmp_path):
    proxy.clone("alice", "one.git", "of-alice")
    before = list(upstream.fetches)
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
    assert [fetch for fetch in upstream.fetches if fetch[1] == "one.git"] == before
    for secret in ("ecila", "bob"[::-1], "lorac"):
        encoded = base64.b64encode(f"{secret[::-1]}:{secret}".encode())
        for parent, _, names in os.walk(tmp_path / "cache"):
            for name in names:
                assert encoded not in open(os.path.join(parent, name), "rb").read()
        assert encoded.decode() not in proxy.log.read_text()
