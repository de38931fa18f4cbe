"""packhouse.hosted without a server: options, tokens, signatures, and who is called when a server misbehaves."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import inspect
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import packhouse.hosted
import pierre_storage
from packhouse.hosted import (
    ApiError,
    GitStorage,
    RefUpdateError,
    encode_refs_claim,
    generate_jwt,
    parse_signature_header,
    validate_webhook,
    validate_webhook_signature,
)

# A P-256 key that is used nowhere else.
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkYpc67pe6SI9Lkbw
LsJzlY/qmncETrEG5PhZrhZ7drqhRANCAATfD0/P5sb9y4q/MTtBzu3jyWVJd66A
FE7T4Bclx3QugqmOjZOFNvzPmRRNMW1HsGERvlMCA2lWwZYDK+urkSiu
-----END PRIVATE KEY-----
"""
AUTHOR = {"name": "Ada", "email": "ada@example.com"}


@contextlib.contextmanager
def serving(answers):
    """A server that gives each answer (status, headers, body) once, and keeps what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            asked.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
            status, headers, body = answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def storage_at(url, **options):
    return GitStorage({"name": "acme", "key": KEY, "api_base_url": url, **options})


def claims(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_tokens_say_what_was_asked_for():
    token = generate_jwt(KEY, "acme", "team/site")
    said = claims(token)
    assert (said["iss"], said["repo"], said["scopes"]) == ("acme", "team/site", ["git:write", "git:read"])
    assert said["exp"] - said["iat"] == 31_536_000 and abs(said["iat"] - time.time()) < 60
    assert "refs" not in said and "ops" not in said
    policies = [{"pattern": "main", "ops": ["no-push"]}, {"pattern": "*", "ops": []}]
    said = claims(generate_jwt(KEY, "acme", "r", ["git:read"], 60, ["no-force-push"], policies))
    assert said["refs"] == encode_refs_claim(policies) == [["main", ["no-push"]], ["*", []]]
    assert (said["ops"], said["exp"] - said["iat"]) == (["no-force-push"], 60)
    with pytest.raises(ValueError, match="private key"):
        generate_jwt("key", "acme", "r")


def test_options_are_checked():
    for options in ({}, {"name": "acme"}, {"key": KEY}, {"name": " ", "key": KEY}, {"name": "acme", "key": ""}):
        with pytest.raises(ValueError):
            GitStorage(options)
    with pytest.raises(ValueError, match="private key"):
        GitStorage({"name": "acme", "key": "no key"})
    with pytest.raises(ValueError, match="URL"):
        storage_at("ftp://example.com")
    with pytest.raises(ValueError, match="timeout"):
        storage_at("http://localhost", timeout=0)
    config = GitStorage({"name": "acme", "key": KEY}).get_config()
    assert config["api_base_url"] == "https://api.acme.code.storage"
    assert config["storage_base_url"] == "acme.code.storage"


def test_git_urls():
    repo = GitStorage({"name": "acme", "key": KEY, "default_ttl": 60}).repo(id="team/site")

    async def urls():
        return [
            await repo.get_remote_url(),
            await repo.get_ephemeral_remote_url(permissions=["git:read"], ttl=5),
            await repo.get_import_remote_url(),
        ]

    ordinary, ephemeral, imported = asyncio.run(urls())
    assert ordinary.startswith("https://t:") and ordinary.endswith("@acme.code.storage/team/site.git")
    assert ephemeral.endswith("/team/site+ephemeral.git") and imported.endswith("/team/site+import.git")
    said = [claims(url.split(":")[2].split("@")[0]) for url in (ordinary, ephemeral)]
    assert [one["exp"] - one["iat"] for one in said] == [60, 5]
    assert said[1]["scopes"] == ["git:read"]


def test_calls_are_coroutines_with_keywords_only():
    for name, call in inspect.getmembers(packhouse.hosted.Repo, inspect.isfunction):
        if name.startswith("_") or name.startswith("iter_") or name in ("create_commit", "events"):
            continue
        assert inspect.iscoroutinefunction(call), name
        parameters = list(inspect.signature(call).parameters.values())[1:]
        assert all(one.kind is one.KEYWORD_ONLY for one in parameters), name


def test_the_compatible_package_is_the_same():
    assert pierre_storage.GitStorage is GitStorage
    for name in pierre_storage.__all__:
        assert getattr(pierre_storage, name) is getattr(packhouse.hosted, name), name
    from pierre_storage.errors import ApiError as from_errors
    from pierre_storage.types import CommitBuilder, FileSource, GitFileMode
    from pierre_storage.version import get_user_agent

    assert from_errors is ApiError and CommitBuilder and FileSource and GitFileMode.SYMLINK == "120000"
    assert get_user_agent().startswith("packhouse-py-sdk/")


PUSH = {
    "repository": {"id": "r", "url": "team/r"},
    "ref": "refs/heads/main",
    "before": "0" * 40,
    "after": "1" * 40,
    "customer_id": "acme",
    "pushed_at": "2026-01-01T00:00:00.5Z",
}


def signed(body, secret="secret", at=None):
    at = int(time.time()) if at is None else at
    signature = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return {"X-Pierre-Signature": f"t={at},sha256={signature}", "X-Pierre-Event": "push"}


def test_deliveries_are_checked():
    body = json.dumps(PUSH)
    result = validate_webhook(body.encode(), signed(body), "secret")
    assert result["valid"] and result["event_type"] == "push"
    assert result["payload"]["pushed_at"].isoformat() == "2026-01-01T00:00:00.500000+00:00"
    assert result["payload"]["raw_pushed_at"] == PUSH["pushed_at"]
    lower = {name.lower(): value.encode() for name, value in signed(body).items()}
    assert validate_webhook(bytearray(body.encode()), lower, "secret")["valid"]
    other = validate_webhook("[1]", {**signed("[1]"), "X-Pierre-Event": "repo.created"}, "secret")
    assert other["payload"] == {"type": "repo.created", "raw": [1]}

    old = signed(body, at=int(time.time()) - 1000)
    assert "old" in validate_webhook(body, old, "secret")["error"]
    assert validate_webhook(body, old, "secret", {"max_age_seconds": 0})["valid"]
    assert validate_webhook(body, old, "secret", {"max_age_seconds": 2000})["valid"]
    refused = [
        (body + " ", signed(body), "secret"),
        (body, signed(body), "another"),
        (body, signed(body), ""),
        (body, {"X-Pierre-Event": "push"}, "secret"),
        (body, {**signed(body), "X-Pierre-Signature": ["a", "b"]}, "secret"),
        (body, {**signed(body), "X-Pierre-Signature": "sha256=1"}, "secret"),
        (body, {"X-Pierre-Signature": signed(body)["X-Pierre-Signature"]}, "secret"),
        ("{", signed("{"), "secret"),
        ("{}", signed("{}"), "secret"),
        ("[]", signed("[]"), "secret"),
    ]
    for payload, headers, secret in refused:
        result = validate_webhook(payload, headers, secret)
        assert result["valid"] is False and result["error"], (payload, headers)
    assert not validate_webhook_signature(body, "t=x,sha256=aa", "secret")["valid"]
    assert parse_signature_header("t=1,sha256=ab") == {"timestamp": "1", "signature": "ab"}
    assert parse_signature_header("nonsense") is None


EMPTY = json.dumps({"branches": [], "has_more": False}).encode()


def test_a_busy_server_is_asked_again_and_a_failed_one_is_reported():
    busy = (429, {"Retry-After": "0"}, b"{}")
    with serving([busy, busy, (200, {}, EMPTY)]) as (url, asked):
        page = asyncio.run(storage_at(url).repo(id="r").list_branches(limit=0))
        assert page == {"branches": [], "has_more": False, "next_cursor": None}
        assert [path for _, path, _, _ in asked] == ["/api/v1/repos/branches?limit=0"] * 3
        headers = {name.lower(): value for name, value in asked[0][2].items()}
        assert headers["authorization"].startswith("Bearer ey")
        assert headers["code-storage-agent"].startswith("packhouse-py-sdk/")
    with serving([busy]) as (url, asked):
        with pytest.raises(ApiError) as error:
            asyncio.run(storage_at(url, attempts=1).repo(id="r").list_branches())
        assert error.value.status_code == 429 and error.value.response.text == "{}"


def test_refusals_of_commits():
    result = {"branch": "main", "old_sha": "1" * 40, "new_sha": "", "success": False, "status": "conflict", "message": "no"}
    answers = [(409, {}, json.dumps({"commit": None, "result": result}).encode())]
    with serving(answers) as (url, asked):
        repo = storage_at(url).repo(id="r")

        def send():
            builder = repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR)
            return builder.delete_path("a")

        async def sent():
            return await send().send()

        with pytest.raises(RefUpdateError) as error:
            asyncio.run(sent())
        assert (error.value.status, error.value.reason, error.value.message) == ("conflict", "conflict", "no")
        assert error.value.ref_update == {"branch": "main", "old_sha": "1" * 40}
    for arguments in (
        {"target_branch": "refs/heads/main"}, {"target_branch": " "}, {"commit_message": ""}, {"author": {"name": "a"}},
        {"base_branch": "refs/heads/x"}, {"ephemeral_base": True},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            repo.create_commit(**{"target_branch": "main", "commit_message": "m", "author": AUTHOR, **arguments})


def test_a_silent_server_and_a_cancelled_call():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TimeoutError, match="silent"):
            asyncio.run(storage_at(url, timeout=0.2).repo(id="r").list_tags())

        async def cancelled():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(storage_at(url).repo(id="r").list_tags(), 0.2)

        listener.accept()[0].close()
        asyncio.run(cancelled())
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            # The request, and then the end: the client has hung up.
            while connection.recv(65536):
                pass
