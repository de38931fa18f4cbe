"""For whoever runs a server: health, metrics, the API document, logs, stopping."""

import json
import re
import signal
import socket
import subprocess
import threading
import time
import uuid

import httpx
import jwt
import pytest
from conftest import commit, read
from binary import Server
from pierre_storage import GitStorage

pytestmark = pytest.mark.once


def test_health_and_readiness(server):
    for path in ("/healthz", "/readyz"):
        assert httpx.get(server.url + path).status_code == 200


async def test_metrics_count_what_happens(server, repo):
    await commit(repo, {"a": "1"})
    await repo.list_files()
    response = httpx.get(server.url + "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    names = set(re.findall(r"^# TYPE (\S+)", response.text, re.M))
    assert len(names) >= 8, names
    for subject in ("request", "seconds", "bytes", "tail", "pack", "fold", "publish"):
        assert any(subject in name for name in names), f"nothing about {subject} in {sorted(names)}"
    for line in response.text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-zA-Z_:][\w:]*(\{.*\})? [-+0-9.eEinfNa]+', line), line
    assert repo.id not in response.text, "no unbounded labels"


def test_the_api_document_is_openapi(server):
    document = httpx.get(server.url + "/api/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) >= {
        f"/api/v1/{path}"
        for path in ("repos", "repo", "repos/delete", "repos/file", "repos/files", "repos/branches",
                     "repos/branches/create", "repos/commits", "repos/commit", "repos/commit-pack")
    }  # fmt: skip
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])


def test_an_unknown_route_answers_in_the_shape_of_an_error(api):
    response = api("GET", "/repos/nothing", "x")
    assert response.status_code == 404
    body = response.json()
    assert body["error"] == body["message"] and body["code"] == "route_not_found"
    assert api("PATCH", "/repos", "x").status_code == 405


def test_a_request_has_an_id_that_the_log_knows(server, api):
    response = api("GET", "/repos/nothing", "x", headers={"X-Request-Id": "asked-for-this"})
    found = {response.headers.get("x-request-id")} - {None}
    assert found, "the answer names the request"
    assert wait_for_text(server, found.pop())


def wait_for_text(server, text):
    for _ in range(50):
        if text in server.log_text():
            return True
        time.sleep(0.1)
    return False


async def test_logs_are_json_on_request_and_hold_no_token(tmp_path):
    with Server(tmp_path / "data", flags=["--dev", "--log-format", "json"]) as server:
        key = (server.data / "dev-key.pem").read_text()
        storage = GitStorage({"name": "dev", "key": key, "api_base_url": server.url, "storage_base_url": server.host})
        repo = await storage.create_repo(id="logged")
        await commit(repo, {"a": "1"})
        url = await repo.get_remote_url()
        subprocess.run(["git", "-c", "url.http://.insteadOf=https://", "ls-remote", url], capture_output=True, timeout=30)
        assert server.stop() == 0
        lines = server.log_text().splitlines()
    assert lines
    for line in lines:
        json.loads(line)
    assert not re.search(r"eyJ[\w-]{10,}\.", server.log_text()), "a token is in the log"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_stopping_lets_a_request_in_flight_finish(tmp_path, signum):
    """The body of a commit arrives slowly while the server is told to stop; it is still answered and kept."""
    server = Server(tmp_path / "data", flags=["--dev"])
    try:
        key = (server.data / "dev-key.pem").read_text()
        now = int(time.time())
        token = jwt.encode(
            {"iss": "dev", "repo": "slow", "scopes": ["repo:write", "git:write"], "iat": now, "exp": now + 600}, key, "ES256"
        )
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{server.url}/api/v1/repos", headers=bearer, json={}).status_code == 201
        sending = threading.Event()

        def body():
            yield json.dumps({"metadata": {
                "target_branch": "main", "commit_message": "m", "author": {"name": "a", "email": "a@b"},
                "files": [{"path": "a", "content_id": "x", "operation": "upsert"}]}}).encode() + b"\n"  # fmt: skip
            sending.set()
            time.sleep(1.5)
            yield b'{"blob_chunk": {"content_id": "x", "data": "MQ==", "eof": true}}\n'

        answers = []
        commit_url = f"{server.url}/api/v1/repos/commit-pack"
        sender = threading.Thread(
            target=lambda: answers.append(httpx.post(commit_url, headers=bearer, content=body(), timeout=30))
        )
        sender.start()
        assert sending.wait(10)
        time.sleep(0.3)
        server.process.send_signal(signum)
        time.sleep(0.3)
        host, port = server.host.split(":")
        with pytest.raises(OSError):
            socket.create_connection((host, int(port)), timeout=1).close()
        sender.join()
        assert answers[0].status_code == 201
        assert server.process.wait(30) == 0
    finally:
        server.stop()
    with Server(tmp_path / "data") as again:
        read_back = httpx.get(f"{again.url}/api/v1/repos/file?path=a", headers=bearer)
        assert read_back.content == b"1"


async def test_acknowledged_commits_survive_kill_9(tmp_path):
    names = [f"kill-{uuid.uuid4().hex[:6]}" for _ in range(3)]
    server = Server(tmp_path / "data", flags=["--dev"])
    try:
        key = (server.data / "dev-key.pem").read_text()
        options = {"name": "dev", "key": key}
        heads = {}
        for name in names:
            storage = GitStorage(options | {"api_base_url": server.url, "storage_base_url": server.host})
            repo = await storage.create_repo(id=name)
            for number in range(5):
                heads[name] = (await commit(repo, {f"f{number}": name}))["commit_sha"]
        server.process.kill()
    finally:
        server.stop()
    with Server(tmp_path / "data") as again:
        for name in names:
            storage = GitStorage(options | {"api_base_url": again.url, "storage_base_url": again.host})
            repo = await storage.find_one(id=name)
            assert (await repo.list_branches())["branches"][0]["head_sha"] == heads[name]
            assert await read(repo, "f4") == name.encode()


async def test_many_commits_fold_in_the_background_and_stay_readable(server, repo):
    """A tail is folded past 64 rows; nothing about it may show."""
    shas = [(await commit(repo, {f"f{n}": str(n)}, message=str(n)))["commit_sha"] for n in range(130)]
    log, cursor = [], None
    while True:
        page = await repo.list_commits(limit=100, cursor=cursor)
        log += [c["sha"] for c in page["commits"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    assert log == shas[::-1]
    assert await read(repo, "f0", ref=shas[0]) == b"0"
