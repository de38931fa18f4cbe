"""Webhooks as the SDKs check them, and the events of a stream."""

import json
import queue
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from conftest import commit, public_pem
from binary import Server
from pierre_storage import parse_signature_header, validate_webhook
from pierre_storage.webhook import validate_webhook_signature

SECONDS = 30


class Receiver:
    """Takes what is sent to it, and keeps it for the test."""

    def __init__(self):
        self.received = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.put((dict(self.headers.items()), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook"

    def next(self):
        return self.received.get(timeout=SECONDS)


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.http.shutdown()
    made.http.server_close()


def lower(headers):
    """As frameworks give them to `validate_webhook`."""
    return {name.lower(): value for name, value in headers.items()}


async def test_the_sdk_takes_what_is_delivered(api, repo, receiver):
    made = api("POST", "/webhooks", repo.id, scopes=["repo:write"], json={"url": receiver.url})
    assert made.status_code == 201
    secret = made.json()["secret"]
    first = await commit(repo, {"a": "1"})
    second = await commit(repo, {"a": "ä ☃ \u2028"}, message="Ünïcode")
    zeros = "0" * 40
    for before, after in [(zeros, first["commit_sha"]), (first["commit_sha"], second["commit_sha"])]:
        headers, body = receiver.next()
        headers = lower(headers)
        result = validate_webhook(body, headers, secret)
        assert result["valid"], result
        assert result["event_type"] == "push"
        payload = result["payload"]
        assert payload["type"] == "push"
        assert (payload["before"], payload["after"]) == (before, after)
        assert payload["ref"] == "refs/heads/main"
        assert payload["repository"] == {"id": repo.id, "url": repo.id}
        assert payload["customer_id"] == api.org.name
        assert payload["pushed_at"].tzinfo is not None
        # Anything else about it is not valid.
        assert not validate_webhook(body + b" ", headers, secret)["valid"]
        assert not validate_webhook(body, headers, secret + "x")["valid"]
        signature = headers["x-pierre-signature"]
        assert validate_webhook_signature(body, signature, secret)["valid"]
        parsed = parse_signature_header(signature)
        assert signature == f"t={parsed['timestamp']},sha256={parsed['signature']}"


@pytest.mark.once
async def test_other_events_pass_through(api, storage, receiver):
    org = {"token": api.org.token("org", ["org:write"])}
    made = api("POST", "/webhooks", **org, json={"url": receiver.url, "events": ["repo.*"]}).json()
    repo = await storage.create_repo(id=f"told/{uuid.uuid4().hex}")
    await commit(repo, {"a": "1"})
    await storage.delete_repo(id=repo.id)
    for kind in ("repo.created", "repo.deleted"):
        headers, body = receiver.next()
        # The session's other tests create repositories as well.
        while json.loads(body)["repository"]["id"] != repo.id:
            headers, body = receiver.next()
        result = validate_webhook(body, lower(headers), made["secret"])
        assert result["valid"] and result["event_type"] == kind, result
    log = api("GET", f"/webhooks/{made['id']}/deliveries", **org)
    assert log.status_code == 200
    assert api("DELETE", f"/webhooks/{made['id']}", **org).status_code == 200
    assert api("GET", f"/webhooks/{made['id']}", **org).status_code == 404


@pytest.mark.once
def test_private_addresses_are_refused_unless_allowed(org, tmp_path):
    with Server(tmp_path / "data") as server:
        key = tmp_path / "key.pem"
        key.write_text(public_pem(org.keys["ES256"]))
        server.admin("admin", "org", "create", org.name, "--public-key", key)
        headers = {"Authorization": f"Bearer {org.token('org', ['org:write'])}"}
        for url in ("http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/", "http://10.1.2.3/"):
            answer = httpx.post(f"{server.url}/api/v1/webhooks", headers=headers, json={"url": url})
            assert answer.status_code == 400 and "private" in answer.json()["error"], answer.text


@pytest.mark.once
async def test_a_stream_goes_on_where_it_was_left(api, repo):
    shas = [(await commit(repo, {"a": str(number)}))["commit_sha"] for number in range(3)]

    def follow(count, **headers):
        token = api.org.token(repo.id, ["git:read"])
        headers = {"Authorization": f"Bearer {token}"} | headers
        url = f"{api.server.url}/api/v1/events?after=0"
        events, fields = [], {}
        with httpx.stream("GET", url, headers=headers, timeout=SECONDS) as response:
            assert response.headers["content-type"] == "text/event-stream"
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                else:
                    # What comes first says where the stream starts, and is no event.
                    if "data" in fields:
                        events.append(fields)
                    fields = {}
                if len(events) == count:
                    return events

    events = follow(4)
    assert [event["event"] for event in events] == ["repo.created", "push", "push", "push"]
    assert [json.loads(event["data"])["after"] for event in events[1:]] == shas
    assert follow(2, **{"Last-Event-ID": events[1]["id"]}) == events[2:]
