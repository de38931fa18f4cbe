"""What a server that is killed at any moment must not lose.

Invariant: a commit that was acknowledged is reachable from its branch afterwards, every ref points to a complete
history, and nothing `git fsck` complains about is ever visible.
"""

import json
import random
import shutil
import subprocess
import threading
import time

from harness import BINARY, Client, Server, git

REPOS = [f"crash-{at}" for at in range(4)]
WRITERS = 12


def test_acknowledged_commits_survive_kill_9(tmp_path):
    crash_again_and_again(tmp_path, None, rounds=15)


def test_acknowledged_commits_survive_kill_9_on_postgresql_and_s3(tmp_path, remote):
    crash_again_and_again(tmp_path, remote, rounds=12)


def test_acknowledged_commits_survive_sweeps_that_are_killed(tmp_path):
    crash_again_and_again(tmp_path, None, rounds=6, sweeps=True)


def crash_again_and_again(tmp_path, backend, rounds, sweeps=False):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data", backend).start()
    acknowledged = {repo: [] for repo in REPOS}
    sweeps_killed = 0
    try:
        for repo in REPOS:
            Client(server, repo).create()
            status, body = Client(server, repo).commit("main", {"README": b"start\n"})
            assert status == 201, body
            acknowledged[repo].append(("main", body["commit"]["commit_sha"]))
        for round_number in range(rounds):
            load = Load(server, rng.randrange(1 << 32), round_number, tmp_path / f"push-{round_number}")
            load.start()
            if sweeps:
                sweeps_killed += sweep_and_kill(server, rng, seconds=rng.uniform(1, 4))
            else:
                time.sleep(rng.uniform(0.1, 1.5))
            server.kill()
            for repo, branch, sha in load.join():
                acknowledged[repo].append((branch, sha))
            if backend and rng.random() < 0.5:
                lose_the_disk(tmp_path / "data")
            server = Server(tmp_path / "data", backend).start()
            if round_number % 5 == 4:
                check(server, acknowledged, tmp_path / f"export-{round_number}")
        check(server, acknowledged, tmp_path / "export-last")
        assert sum(map(len, acknowledged.values())) > rounds * WRITERS, "the load was too small to mean anything"
        print(server.command("fsck"))
        if sweeps:
            assert sweeps_killed > 0
            server.command("sweep", "--now")
            check(server, acknowledged, tmp_path / "export-swept")
            # Nothing is left but what is listed, once the server's own folds and repacks have come to rest: they replace packs.
            for _ in range(20):
                swept = json.loads(server.command("sweep", "--now", "--json"))
                if swept["keys"] == 0:
                    break
                time.sleep(1)
            assert (swept["keys"], swept["failed"]) == (0, 0), swept
    finally:
        server.stop()


def sweep_and_kill(server, rng, seconds):
    """Sweeps without any grace beside the writers, again and again, each killed before long. Forks come and go meanwhile.

    Answers how many were killed before their end.
    """
    end = time.monotonic() + seconds
    at = killed = 0
    while time.monotonic() < end:
        name = f"passing-{rng.randrange(1 << 32)}"
        fork = {"provider": "code", "owner": "dev", "name": REPOS[0], "operation": "fork"}
        fork["auth"] = {"token": server.token(REPOS[0])}
        client = Client(server, name)
        status, body = client.send("POST", "/repos", json.dumps({"base_repo": fork}).encode())
        assert status == 201, body
        status, body = client.commit("main", {f"passing/{at}": rng.randbytes(1_500_000)})
        assert status == 201, body
        status, body = client.send("DELETE", "/repos/delete", b"{}")
        assert status == 200, body
        sweep = subprocess.Popen(
            [BINARY, "sweep", "--now", *server.settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=server.environment
        )
        try:
            sweep.wait(rng.uniform(0.1, 1.0))
        except subprocess.TimeoutExpired:
            sweep.kill()
            sweep.wait()
            killed += 1
        at += 1
    return killed


def lose_the_disk(data):
    """With everything that lasts elsewhere, a node's disk is a cache; only the key of `--dev` is of this test."""
    key = (data / "dev-key.pem").read_text()
    shutil.rmtree(data)
    data.mkdir()
    (data / "dev-key.pem").write_text(key)


class Load:
    """Writers that go on until the server is gone, and remember what it acknowledged."""

    def __init__(self, server, seed, round_number, folder):
        self.acknowledged = []
        self.problems = []
        self.threads = [
            threading.Thread(target=self.run, args=(self.commits, server, random.Random(seed + at), at))
            for at in range(WRITERS)
        ]
        self.threads.append(threading.Thread(target=self.run, args=(self.pushes, server, folder, round_number)))

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a writer hangs"
        assert not self.problems, self.problems
        return self.acknowledged

    def run(self, work, *arguments):
        try:
            work(*arguments)
        except OSError:
            pass  # The server is gone, as planned.
        except Exception as error:  # noqa: BLE001 - told by the test
            if type(error).__module__ != "http.client":
                self.problems.append(repr(error))

    def commits(self, server, rng, number):
        repo = rng.choice(REPOS)
        client = Client(server, repo)
        branch = rng.choice(["main", f"side-{number}"])
        for at in range(100_000):
            size = rng.choice([10, 300, 3000, 300_000] if at % 10 == 0 else [10, 300])
            files = {f"dir{rng.randrange(5)}/file{rng.randrange(20)}": rng.randbytes(size)}
            if at % 40 == 39:
                files |= {f"bulk/{name}": rng.randbytes(40_000) for name in range(40)}
            status, body = client.commit(branch, files, base_branch="main")
            assert status == 201, body
            self.acknowledged.append((repo, branch, body["commit"]["commit_sha"]))

    def pushes(self, server, folder, round_number):
        repo = REPOS[0]
        if git("clone", "-q", server.git_url(repo), str(folder), check=False).returncode != 0:
            return
        branch = f"pushed-{round_number}"
        git("checkout", "-q", "-b", branch, cwd=folder)
        for at in range(1000):
            (folder / "pushed.txt").write_text(f"{round_number} {at}\n")
            git("add", ".", cwd=folder)
            git("commit", "-q", "-m", f"push {at}", cwd=folder)
            sha = git("rev-parse", "HEAD", cwd=folder).stdout.strip()
            if git("push", "-q", "origin", branch, cwd=folder, check=False).returncode != 0:
                return
            self.acknowledged.append((repo, branch, sha))


def check(server, acknowledged, folder):
    for repo, commits in acknowledged.items():
        exported = folder / f"{repo}.git"
        folder.mkdir(exist_ok=True)
        server.command("export", f"dev/{repo}", str(exported))
        fsck = subprocess.run(["git", "-C", exported, "fsck", "--full", "--strict"], capture_output=True, text=True)
        assert fsck.returncode == 0, fsck.stdout + fsck.stderr
        reachable = {}
        for branch, sha in commits:
            if branch not in reachable:
                listed = git("-C", str(exported), "rev-list", f"refs/heads/{branch}").stdout
                reachable[branch] = set(listed.split())
            assert sha in reachable[branch], f"{repo}: acknowledged commit {sha} of {branch} is lost"
    shutil.rmtree(folder)
