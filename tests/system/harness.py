"""A started server, and a client small enough to keep up with it."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import jwt

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = Path(os.environ.get("PACKHOUSE_BINARY", TARGET / "debug" / "packhouse"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Backend:
    """A database and a bucket that are not in the data folder."""

    catalog: str
    bucket: str
    variables: dict


class Server:
    """`packhouse serve --dev` on a data folder that outlives it."""

    def __init__(self, data, backend=None):
        self.data = Path(data)
        self.settings = ["--data", str(self.data)]
        self.environment = dict(os.environ)
        if backend:
            self.settings += ["--catalog", backend.catalog, "--bucket", backend.bucket]
            self.environment |= backend.variables
        self.port = None
        self.process = None
        self.key = None

    def start(self):
        self.port = free_port()
        with open(self.data.parent / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--dev", "--listen", f"127.0.0.1:{self.port}", *self.settings],
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}; see server.log")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                time.sleep(0.02)
        else:
            raise RuntimeError("the server was not ready after 30 s")
        self.key = (self.data / "dev-key.pem").read_text()
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)

    def token(self, repo, scopes=("git:read", "git:write", "repo:write"), **claims):
        now = int(time.time())
        claims = {"iss": "dev", "sub": "test", "repo": repo, "scopes": list(scopes), "iat": now, "exp": now + 3600, **claims}
        return jwt.encode(claims, self.key, algorithm="ES256")

    def git_url(self, repo, suffix=".git"):
        return f"http://t:{self.token(repo)}@127.0.0.1:{self.port}/{repo}{suffix}"

    def command(self, *arguments):
        """Runs another `packhouse` command with the settings of this server."""
        done = subprocess.run(
            [BINARY, *arguments, *self.settings], capture_output=True, text=True, env=self.environment
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout


class Client:
    """One kept-alive connection for one repository."""

    def __init__(self, server, repo):
        self.repo = repo
        self.token = server.token(repo)
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def send(self, method, path, body=None, kind="application/json"):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        self.connection.request(method, f"/api/v1{path}", body=body, headers=headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def create(self):
        status, body = self.send("POST", "/repos", b"{}")
        assert status == 201, (status, body)

    def commit(self, branch, files, message="change", **metadata):
        """Commits `{path: bytes}`; answers the status and the parsed body."""
        entries = [
            {"path": path, "content_id": str(at), "operation": "upsert", "mode": "100644"}
            for at, path in enumerate(files)
        ]
        lines = [
            {
                "metadata": {
                    "target_branch": branch,
                    "commit_message": message,
                    "author": {"name": "Test", "email": "test@example.com"},
                    "files": entries,
                    **metadata,
                }
            }
        ]
        for at, content in enumerate(files.values()):
            data = base64.b64encode(content).decode()
            lines.append({"blob_chunk": {"content_id": str(at), "data": data, "eof": True}})
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        status, answer = self.send("POST", "/repos/commit-pack", body, "application/x-ndjson")
        return status, json.loads(answer)


def git(*arguments, cwd=None, check=True):
    """Runs git without the machine's configuration."""
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.com",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.com",
    }
    done = subprocess.run(["git", *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    if check:
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done
