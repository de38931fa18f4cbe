"""Webhooks with receivers that fail and a server that is killed at any moment.

Invariant: of every ref, the events that a receiver takes, without those it has taken before, are a chain from its creation to
where it is: none is missing and none is out of order, whether or not its change was acknowledged.

PACKHOUSE_WEBHOOK_EVENTS says how many events there shall be; without it, what a short test takes. A queue delivers in order and
so waits after each refusal, on the average 25 ms for an event; a million takes as many queues as a server works on for one webhook.
"""

import json
import os
import random
import shutil
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Backend, Client, Server, git

EVENTS = int(os.environ.get("PACKHOUSE_WEBHOOK_EVENTS", 0))
REPOS = [f"told-{at}" for at in range(32 if EVENTS else 6)]
WRITERS = 6
ROUNDS = 3
# Refs that one push creates: events come in lots, too.
TAGS = 200 if EVENTS else 20
# Events that may wait, so that what is written is told within bounds.
WAITING = 20_000
# Seconds in which nothing is taken, after which something is wrong; a queue of a killed server is taken over after three.
SILENCE = 120
# Seconds for all of it, far beyond what it takes.
LONGEST = 600 + EVENTS // 50
ZEROS = "0" * 40
# The branch that every repository has from the beginning.
BASE = "branch-0"


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
        subscribe(server, receiver)
        for repo in REPOS:
            client = Client(server, repo)
            client.create()
            status, body = client.commit(BASE, {"file": b"first"})
            assert status == 201, body
        load = Load(receiver)
        round_number = 0
        end = time.monotonic() + LONGEST
        while round_number < ROUNDS or load.made < EVENTS:
            assert time.monotonic() < end, f"{load.made} events were made in {LONGEST} s, {receiver.taken_count} taken"
            receiver.check()
            threads = [
                threading.Thread(target=load.write, args=(server, rng.choice(REPOS), f"branch-{at}"))
                for at in range(WRITERS)
            ]
            folder = tmp_path / f"push-{round_number}"
            threads.append(threading.Thread(target=load.push, args=(server, rng.choice(REPOS), folder, round_number)))
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.3, 1.2) if not EVENTS else rng.uniform(5, 60))
            server.kill()
            for thread in threads:
                thread.join(timeout=60)
                assert not thread.is_alive(), "a writer hangs"
            shutil.rmtree(folder, ignore_errors=True)
            server = start(tmp_path, backend)
            round_number += 1
        wanted = {(repo, ref): sha for repo in REPOS for ref, sha in refs(server, repo).items()}
        assert len(wanted) > ROUNDS, "the load was too small to mean anything"
        receiver.wait_for(wanted, seconds=90 if not EVENTS else 900)
        print(f"{receiver.taken_count} events taken, {receiver.refused} refused, {receiver.repeated} repeated")
        assert receiver.taken_count >= load.made, "an acknowledged change was not told"
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


class Load:
    """Makes changes, and counts those that were acknowledged."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.lock = threading.Lock()
        self.made = 0

    def count(self, events):
        with self.lock:
            self.made += events

    def pause(self, server):
        """Waits while too many events do, or the server is gone."""
        while self.made - self.receiver.taken_count > WAITING and server.process.poll() is None:
            time.sleep(0.05)

    def write(self, server, repo, branch):
        """Commits until the server is gone."""
        try:
            client = Client(server, repo)
            for at in range(1_000_000):
                self.pause(server)
                status, body = client.commit(branch, {f"file{at % 7}": os.urandom(20)})
                if status == 404:
                    status, body = client.commit(branch, {"file": os.urandom(20)}, base_branch=BASE)
                assert status == 201, body
                self.count(1)
        except AssertionError as error:
            # What fails in a thread fails no test by itself.
            self.receiver.problems.append(f"{repo} {branch}: {error}")
        except Exception:  # noqa: BLE001 - the server is gone, as planned
            return

    def push(self, server, repo, folder, round_number):
        """Pushes lots of tags until the server is gone."""
        folder.mkdir()
        git("init", "-q", "-b", "main", cwd=folder)
        for at in range(1000):
            self.pause(server)
            git("commit", "-q", "--allow-empty", "-m", str(at), cwd=folder)
            names = [f"refs/tags/{round_number}-{at}-{number}" for number in range(TAGS)]
            refspecs = [f"HEAD:{name}" for name in names]
            if git("push", "-q", server.git_url(repo), *refspecs, cwd=folder, check=False).returncode != 0:
                return
            self.count(TAGS)


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
        self.taken_at = time.monotonic()
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
            self.taken_at = time.monotonic()
            known = self.heads.get((repo, ref), ZEROS)
            if event["before"] != known:
                self.problems.append(f"{repo} {ref} was at {known}, and an event says {event['before']}")
            self.heads[repo, ref] = event["after"]
            return 200

    def check(self):
        assert not self.problems, self.problems[:5]
        silence = time.monotonic() - self.taken_at
        assert silence < SILENCE, f"nothing was taken for {silence:.0f} s"

    def wait_for(self, wanted, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            with self.lock:
                missing = {key: sha for key, sha in wanted.items() if self.heads.get(key) != sha}
            if not missing:
                return
            time.sleep(1 if EVENTS else 0.1)
        raise AssertionError(f"{len(missing)} of {len(wanted)} refs are not where they should be, such as {list(missing)[:3]}")

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
