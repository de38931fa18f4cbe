"""Maintenance beside everybody, killed at any moment: repacks, drops of what no ref reaches, and the servers themselves.

Invariant: every ref is where somebody who was answered put it, a clone of all refs has nothing `git fsck` complains about,
and the bucket has no key that is neither listed nor known to be due for a sweep.

`PACKHOUSE_MAINTENANCE_SECONDS` says how long each test goes on before it is looked (`make soak` takes longer).
"""

import os
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time

from harness import BINARY, Backend, Client, Server, git

REPO = "busy"
SECONDS = float(os.environ.get("PACKHOUSE_MAINTENANCE_SECONDS", "8"))


def test_maintenance_that_is_killed_at_any_moment_loses_nothing(tmp_path):
    (tmp_path / "data").mkdir()
    bucket = tmp_path / "data" / "bucket"
    go_on(tmp_path, [Server(tmp_path / "data")], bucket, lambda table: keys_in_sqlite(tmp_path / "data" / "catalog.db", table))


def test_maintenance_on_two_nodes_at_once_that_are_killed_loses_nothing(tmp_path, database):
    bucket = tmp_path / "bucket"
    backend = Backend(catalog=database, bucket=f"file://{bucket}", variables={})
    nodes = [Server(tmp_path / name, backend) for name in ("a", "b")]
    for node in nodes:
        node.data.mkdir()
    go_on(tmp_path, nodes, bucket, lambda table: keys_in_postgres(database, table))


def go_on(tmp_path, nodes, bucket, keys):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    crowd = Crowd(tmp_path, nodes, rng)
    try:
        crowd.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.5, 3))
            node = rng.choice(nodes)
            node.kill()
            node.start()
        crowd.join()
        crowd.check(tmp_path / "mirror")
        check_bucket(crowd, nodes, bucket, keys)
        # From the bucket alone, as it is now.
        nodes[0].start()
        crowd.check(tmp_path / "mirror-swept")
    finally:
        crowd.ended.set()
        for node in nodes:
            node.stop()


def check_bucket(crowd, nodes, bucket, keys):
    for node in nodes:
        node.stop()
    nodes[0].command("sweep")
    unknown = stems(bucket) - keys("packs") - keys("dead_packs")
    assert not unknown, f"neither listed nor due for a sweep: {unknown}"
    nodes[0].command("maintain", "repack", f"dev/{REPO}")
    # One that finds a pack unlisted leaves it to the next, if the clock goes on in between.
    for _ in range(5):
        crowd.dropped += "dropped" in nodes[0].command("sweep", "--now")
    listed = keys("packs")
    assert stems(bucket) == listed
    for key in listed:
        for ending in ("pack", "idx"):
            assert (next(bucket.glob("orgs/*/packs")) / key[:2] / f"{key}.{ending}").exists()
    assert crowd.killed > 0, "no maintenance was killed"
    assert crowd.dropped > 0, "nothing was dropped"


def stems(bucket):
    """The names of packs that the bucket has something of."""
    return {path.name.split(".")[0] for path in bucket.glob("orgs/*/packs/*/*")}


def keys_in_sqlite(path, table):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = database.execute(f"SELECT lower(hex(key)) FROM {table}").fetchall()
    database.close()
    return {row[0] for row in rows}


def keys_in_postgres(url, table):
    schema = re.search(r"search_path\]=(\w+)", url).group(1)
    psql = ["psql", os.environ["PACKHOUSE_TEST_POSTGRES"], "-Atq", "-v", "ON_ERROR_STOP=1"]
    query = f"SELECT encode(key, 'hex') FROM {schema}.{table}"
    return set(subprocess.run([*psql, "-c", query], check=True, capture_output=True, text=True).stdout.split())


class Crowd:
    """Who pushes, commits, clones, fetches and maintains, until told to end."""

    def __init__(self, folder, nodes, rng):
        self.folder = folder
        self.nodes = nodes
        self.ended = threading.Event()
        self.problems = []
        # For each branch that somebody has for himself, where it may be: two places if he was not answered.
        self.places = {}
        self.lost = []
        self.killed = 0
        self.dropped = 0
        works = [self.push, self.push, self.push, self.commit, self.clone, self.fetch, self.maintain]
        works += [self.maintain] * (len(nodes) - 1)
        self.threads = [
            threading.Thread(target=self.run, args=(work, at, random.Random(rng.randrange(1 << 32))))
            for at, work in enumerate(works)
        ]

    def start(self):
        for at, node in enumerate(self.nodes):
            if at > 0:
                shutil.copy(self.nodes[0].data / "dev-key.pem", node.data)
            node.start()
        client = Client(self.nodes[0], REPO)
        client.create()
        status, body = client.commit("main", {f"dir{at}/file": b"start\n" * 100 for at in range(20)})
        assert status == 201, body
        for thread in self.threads:
            thread.start()

    def join(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=120)
            assert not thread.is_alive(), "somebody hangs"
        assert not self.problems, self.problems

    def run(self, work, at, rng):
        while not self.ended.is_set():
            try:
                work(at, rng)
            except OSError:
                time.sleep(0.1)  # The server is gone for a moment, as planned.
            except Exception as error:  # noqa: BLE001 - told by the test
                if type(error).__module__ != "http.client":
                    self.problems.append(repr(error))
                    return

    def url(self, rng):
        return rng.choice(self.nodes).git_url(REPO)

    def push(self, at, rng):
        """A clone that pushes branches of its own, deletes them, and pushes them again by the names of their commits."""
        folder = self.folder / f"pusher-{at}"
        shutil.rmtree(folder, ignore_errors=True)
        if git("clone", "-q", self.url(rng), str(folder), check=False).returncode != 0:
            return
        commits = []
        while not self.ended.is_set():
            branch = f"own-{at}-{rng.randrange(4)}"
            places = self.places.setdefault(branch, {None})
            what = rng.random()
            if what < 0.3 and commits:
                new = rng.choice(commits)
            elif what < 0.5:
                new = None
            else:
                git("checkout", "-q", "--detach", rng.choice(commits[-5:] or ["origin/main"]), cwd=folder)
                (folder / f"file-{rng.randrange(5)}").write_text(f"{rng.randrange(20)}\n" * 200)
                git("add", ".", cwd=folder)
                git("commit", "-q", "--allow-empty", "-m", f"by {at}: {rng.random()}", cwd=folder)
                new = git("rev-parse", "HEAD", cwd=folder).stdout.strip()
                commits.append(new)
            pushed = git("push", "-q", "--force", self.url(rng), f"{new or ''}:refs/heads/{branch}", cwd=folder, check=False)
            if pushed.returncode == 0:
                self.places[branch] = {new}
            else:
                assert "internal error" not in pushed.stderr, pushed.stderr
                self.places[branch] = places | {new}
                time.sleep(0.1)

    def commit(self, at, rng):
        client = Client(rng.choice(self.nodes), REPO)
        for _ in range(20):
            branch = f"side-{rng.randrange(3)}"
            files = {f"dir{rng.randrange(3)}/f{rng.randrange(5)}": b"%d\n" % rng.randrange(10) * 100}
            status, body = client.commit(branch, files, base_branch="main")
            assert status == 201, body

    def clone(self, at, rng):
        folder = self.folder / f"clone-{at}"
        shutil.rmtree(folder, ignore_errors=True)
        if came(git("clone", "-q", "--mirror", self.url(rng), str(folder), check=False)):
            fsck(folder)

    def fetch(self, at, rng):
        folder = self.folder / f"fetcher-{at}"
        if not folder.exists():
            git("init", "-q", "--bare", str(folder))
        came(git("fetch", "-q", "--prune", self.url(rng), "+refs/*:refs/*", cwd=folder, check=False))
        fsck(folder)
        time.sleep(rng.uniform(0, 0.3))

    def maintain(self, at, rng):
        """Repacks, and drops what no ref reaches; two in three are killed."""
        node = rng.choice(self.nodes)
        command = rng.choice(
            [
                ["maintain", "repack", f"dev/{REPO}"],
                ["maintain", "fold", f"dev/{REPO}"],
                ["sweep", "--keep-unreachable", "1s"],
                ["sweep", "--keep-unreachable", "1s"],
            ]
        )
        running = subprocess.Popen(
            [BINARY, *command, *node.settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=node.environment
        )
        try:
            out, err = running.communicate(timeout=rng.choice([rng.uniform(0.05, 1.5), rng.uniform(0.05, 1.5), 60]))
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            self.killed += 1
            return
        assert running.returncode == 0, f"{command}: {err}"
        self.dropped += "dropped" in out

    def check(self, folder):
        git("clone", "-q", "--mirror", self.nodes[0].git_url(REPO), str(folder))
        fsck(folder)
        listed = git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads", cwd=folder).stdout
        found = dict(line.split() for line in listed.splitlines())
        for branch, places in self.places.items():
            assert found.get(branch) in places, f"{branch} is at {found.get(branch)}, not at one of {places}"


def came(done):
    """Whether the server answered to the end. It may be gone meanwhile, but it never lacks anything."""
    is_broken = re.search("internal error|missing|bad object|corrupt|necessary objects", done.stderr)
    assert done.returncode == 0 or not is_broken, done.stderr
    return done.returncode == 0


def fsck(folder):
    done = subprocess.run(["git", "-C", folder, "fsck", "--full", "--strict"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
