"""A store whose process is killed at any moment.

What always holds: a commit that was acknowledged is reachable from its branch, `git fsck --full --strict` finds
nothing, no lock is in the way of the next writer, and a backup is a complete repository of an earlier state.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packhouse.store import GitStore

WORKER = Path(__file__).with_name("crash_worker.py")
ROUNDS = int(os.environ.get("PACKHOUSE_CRASH_ROUNDS", "6"))


def git(repo, *arguments, **options):
    return subprocess.run(["git", "-C", repo, *arguments], capture_output=True, text=True, **options)


def check(repo, acknowledged):
    fsck = git(repo, "fsck", "--full", "--strict", "--no-dangling")
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr
    reachable = set(git(repo, "rev-list", "--all", check=True).stdout.split())
    lost = [commit for commit in acknowledged if commit not in reachable]
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged commits are lost"


class Worker:
    def __init__(self, kind, repo, seed):
        command = [sys.executable, WORKER, kind, repo, str(seed)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(self.process.communicate()[1])

    def kill(self):
        """Ends it as a power cut would, and returns the commits it had been told of."""
        self.process.send_signal(signal.SIGKILL)
        out, err = self.process.communicate()
        assert self.process.returncode == -signal.SIGKILL, err
        # The last line may be cut; what is whole was acknowledged.
        return [line for line in out.split("\n")[:-1] if len(line) == 40]


KINDS = """
    writes  batches  history  packs  backups  restores
    writes+writes  writes+restores  writes+packs+batches
""".split()


@pytest.mark.parametrize("kinds", KINDS)
def test_what_was_acknowledged_survives_kill_9(tmp_path, kinds):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    repo = str(tmp_path / "store.git")
    GitStore.open(repo, create="main")
    acknowledged = []
    for _ in range(ROUNDS):
        workers = [Worker(kind, repo, rng.randrange(1 << 32)) for kind in kinds.split("+")]
        time.sleep(rng.uniform(0.05, 0.6))
        for worker in workers:
            acknowledged += worker.kill()
        check(repo, acknowledged)
        backup = Path(repo + ".backup")
        if backup.exists():
            check(str(backup), [])
        began = time.monotonic()
        acknowledged.append(GitStore.open(repo).branches["main"].write("after", rng.randbytes(9)).commit_hash)
        assert time.monotonic() - began < 10, "what the dead left behind holds up the living"
    assert len(acknowledged) > ROUNDS, "the load was too small to mean anything"


def test_git_and_the_store_write_one_branch_at_once(tmp_path):
    repo, clone = str(tmp_path / "store.git"), str(tmp_path / "clone")
    store = GitStore.open(repo, create="main")
    store.branches["main"].write("start", b"")
    # A push would start a second collection in the background.
    git(repo, "config", "receive.autogc", "false", check=True)
    subprocess.run(["git", "clone", "-q", repo, clone], check=True)
    worker = Worker("writes", repo, 7)
    pushed = []
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for number in range(15):
        (Path(clone) / "theirs").write_text(f"{number}\n")
        git(clone, "add", ".", check=True)
        git(clone, *identity, "commit", "-qm", f"push {number}", check=True)
        for _ in range(200):
            if git(clone, "push", "-q", "origin", "HEAD:main").returncode == 0:
                pushed.append(git(clone, "rev-parse", "HEAD", check=True).stdout.strip())
                break
            git(clone, *identity, "pull", "-q", "--rebase", "origin", "main", check=True)
        if number % 5 == 4:
            # It waits a tenth of a second for a ref that is hardly ever free here, and may give up.
            collected = git(repo, "gc", "-q")
            assert collected.returncode == 0 or ".lock" in collected.stderr, collected.stderr
    acknowledged = worker.kill()
    assert pushed and acknowledged
    check(repo, acknowledged + pushed)
