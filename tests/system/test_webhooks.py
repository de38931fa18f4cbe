"""Webhooks with receivers that fail and a server that is killed at any moment.

Invariant: of every ref, the events that a receiver takes, without those it has taken before, are a chain from its creation to
where it is: none is missing and none is out of order, whether or not its change was acknowledged.

PACKHOUSE_WEBHOOK_EVENTS says how many events there shall be; without it, what a short test takes.
"""

import json
import os
import random
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Backend, Client, Server, git

REPOS = [f"told-{at}" for at in range(6)]
WRITERS = 6
EVENTS = int(os.environ.get("PACKHOUSE_WEBHOOK_EVENTS", 0))
ROUNDS = 3
# Refs that one push creates: events come in lots, too.
TAGS = 200 if EVENTS else 20
ZEROS = "0" * 40


def test_no_event_is_lost_or_out_of_order(tmp_path):
    tell_again_and_again(tmp_path, None)


def test_no_event_is_lost_or_out_of_order_on_postgresql(tmp_path, database):
    (tmp_path / "bucket").mkdir()
    tell_again_and_again(tmp_path, Backend(database, f"file://{tmp_path}/bucket", {}))


def tell_again_and_again(tmp_path, backend):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    (tmp_path / "data").mkdir()
    receiver = Receiver(rng.randrange(1 << 32))
    server = start(tmp_path, backend)
    try:
        for repo in REPOS:
            Client(server, repo).create()
        subscribe(server, receiver)
        round_number = 0
        while round_number < ROUNDS or receiver.taken_count < EVENTS:
            threads = [
                threading.Thread(target=write, args=(server, rng.choice(REPOS), f"branch-{at}")) for at in range(WRITERS)
            ]
            threads.append(threading.Thread(target=push, args=(server, tmp_path / f"push-{round_number}", round_number)))
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.3, 1.2) if not EVENTS else rng.uniform(5, 60))
            server.kill()
            for thread in threads:
                thread.join(timeout=60)
                assert not thread.is_alive(), "a writer hangs"
            server = start(tmp_path, backend)
            round_number += 1
        wanted = {(repo, ref): sha for repo in REPOS for ref, sha in refs(server, repo).items()}
        assert len(wanted) > ROUNDS, "the load was too small to mean anything"
        receiver.wait_for(wanted, seconds=90 if not EVENTS else 3600)
        print(f"{receiver.taken_count} events taken, {receiver.refused} refused, {receiver.repeated} repeated")
        assert receiver.refused > 0
    finally:
        server.stop()
        receiver.stop()
    assert not receiver.problems, receiver.problems[:5]


def start(tmp_path, backend):
    server = Server(tmp_path / "data", backend)
    # A killed server's queues are taken over after one and a half times that.
    server.environment |= {"PACKHOUSE_ALLOW_PRIVATE_ADDRESSES": "1", "PACKHOUSE_WEBHOOK_TIMEOUT": "2s"}
    return server.start()


def subscribe(server, receiver):
    client = Client(server, "org")
    client.token = server.token("org", ["org:write"])
    status, body = client.send("POST", "/webhooks", json.dumps({"url": receiver.url}).encode())
    assert status == 201, (status, body)


def refs(server, repo):
    listed = git("ls-remote", server.git_url(repo)).stdout.split("\n")
    return {ref: sha for sha, _, ref in (line.partition("\t") for line in listed) if ref.startswith("refs/")}


def write(server, repo, branch):
    """Commits until the server is gone."""
    try:
        client = Client(server, repo)
        for at in range(1_000_000):
            status, body = client.commit(branch, {f"file{at % 7}": os.urandom(20)})
            # Its base is one that another writer has not made yet.
            if status == 409 or status == 404:
                status, body = client.commit(branch, {"file": os.urandom(20)}, base_branch="branch-0")
            assert status in (201, 404, 409), body
    except Exception as error:  # noqa: BLE001 - the server is gone, as planned
        assert not isinstance(error, AssertionError), error


def push(server, folder, round_number):
    """Pushes lots of tags until the server is gone."""
    folder.mkdir()
    git("init", "-q", "-b", "main", cwd=folder)
    for at in range(1000):
        git("commit", "-q", "--allow-empty", "-m", str(at), cwd=folder)
        names = [f"refs/tags/{round_number}-{at}-{number}" for number in range(TAGS)]
        refspecs = [f"HEAD:{name}" for name in names]
        if git("push", "-q", server.git_url(REPOS[0]), *refspecs, cwd=folder, check=False).returncode != 0:
            return


class Receiver:
    """Refuses one in five, and checks what it takes."""

    def __init__(self, seed):
        self.lock = threading.Lock()
        self.rng = random.Random(seed)
        # Where each ref is, as far as events tell.
        self.heads = {}
        # The last event of each repository: ids grow.
        self.last = defaultdict(tuple)
        self.taken_count = self.refused = self.repeated = 0
        self.problems = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.take(self.headers, json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Http(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # The server is killed in the middle of requests.

        self.http = Http(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/"

    def take(self, headers, event):
        with self.lock:
            if self.rng.random() < 0.2:
                self.refused += 1
                return 500
            repo, ref = event["repository"]["id"], event["ref"]
            place = tuple(map(int, headers["X-Packhouse-Event"].split("-")))[2:]
            if place <= self.last[repo]:
                self.repeated += 1
                return 200
            self.last[repo] = place
            self.taken_count += 1
            known = self.heads.get((repo, ref), ZEROS)
            if event["before"] != known:
                self.problems.append(f"{repo} {ref} was at {known}, and an event says {event['before']}")
            self.heads[repo, ref] = event["after"]
            return 200

    def wait_for(self, wanted, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                missing = {key: sha for key, sha in wanted.items() if self.heads.get(key) != sha}
                assert not self.problems, self.problems[:5]
            if not missing:
                return
            time.sleep(0.1)
        raise AssertionError(f"{len(missing)} of {len(wanted)} refs are not where they should be, such as {list(missing)[:3]}")

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
