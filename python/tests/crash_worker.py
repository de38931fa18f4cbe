"""Works on a store until it is killed, and says on stdout what was acknowledged, a line each.

    crash_worker.py KIND FOLDER SEED
"""

import random
import sys

from packhouse.store import GitStore, StaleSnapshotError, retry_write


def acknowledged(fs):
    print(fs.commit_hash, flush=True)


def payload(rng):
    return rng.randbytes(rng.choice([0, 10, 400, 5_000, 200_000]))


def writes(store, rng):
    """Small commits, many of them to the same few paths."""
    while True:
        path = f"d{rng.randrange(4)}/f{rng.randrange(20)}"
        acknowledged(retry_write(store, "main", path, payload(rng), retries=50))


def batches(store, rng):
    """Commits of many files, large enough to become packs."""
    while True:
        try:
            with store.branches["main"].batch() as batch:
                for number in range(rng.choice([3, 60, 200])):
                    batch.write(f"batch/{number}", payload(rng))
        except StaleSnapshotError:
            continue
        acknowledged(batch.fs)


def history(store, rng):
    """Steps back and forth, notes, and branches that come and go, beside commits."""
    while True:
        try:
            fs = store.branches["main"].write("history", payload(rng))
            acknowledged(fs)
            store.branches[f"side{rng.randrange(3)}"] = fs
            store.notes.commits[fs.commit_hash] = "seen"
            name = f"side{rng.randrange(3)}"
            if name in store.branches:
                del store.branches[name]
        except (StaleSnapshotError, KeyError):
            continue


def packs(store, rng):
    """Commits, with the whole store packed and swept between them."""
    while True:
        for _ in range(rng.randrange(20)):
            acknowledged(retry_write(store, "main", f"p{rng.randrange(50)}", payload(rng), retries=50))
        rng.choice([store.pack, store.gc])()


def backups(store, rng):
    """Commits, each followed by a backup into a second repository beside the first."""
    while True:
        acknowledged(retry_write(store, "main", f"b{rng.randrange(50)}", payload(rng), retries=50))
        store.backup(store.path.rstrip("/") + ".backup")


def restores(store, rng):
    """Commits in a second repository beside the first, each followed by a restore of its branch from there."""
    source = GitStore.open(store.path.rstrip("/") + ".source", create="main", exist_ok=True)
    while True:
        for _ in range(rng.choice([1, 5])):
            fs = retry_write(source, "main", f"r{rng.randrange(50)}", payload(rng), retries=50)
        store.restore(source.path, refs={"main": "restored"})
        acknowledged(fs)


def main():
    kind, folder, seed = sys.argv[1:]
    store = GitStore.open(folder)
    print("ready", flush=True)
    globals()[kind](store, random.Random(int(seed)))


main()
