"""One measurement of the git cache, printed as a line of JSON.

    lines.py PART FOLDER [URL]

The cache is below FOLDER and stays there for the next part.
"""

import json
import multiprocessing
import os
import sys
import threading
import time

from packhouse.cache import GitCacheConfig, GitCacheManager

PROCESSES, THREADS = 5, 10


def opened(folder):
    return GitCacheManager(GitCacheConfig(cache_root=f"{folder}/cache", max_cache_size_gb=100))


def good(result):
    if isinstance(result, Exception):
        sys.exit(f"{type(result).__name__}: {result}")
    return result


def timed(work, times):
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        good(work())
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds}


def add(folder, url):
    """The first copy."""
    return timed(lambda: opened(folder).cache_repository(url), 1)


def unchanged(folder, url):
    """Asked again by a program that has asked before."""
    manager = opened(folder)
    good(manager.cache_repository(url))
    return timed(lambda: manager.cache_repository(url), 15)


def member(folder, url, gate, answers):
    manager = opened(folder)
    commits = []

    def call():
        entry = manager.cache_repository(url)
        commits.append(str(entry) if isinstance(entry, Exception) else entry.local_commit_hash)

    threads = [threading.Thread(target=call) for _ in range(THREADS)]
    gate.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put(commits)


def crowd(folder, url):
    """All callers begin on one word."""
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(PROCESSES + 1), context.Queue()
    processes = [context.Process(target=member, args=(folder, url, gate, answers)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    gate.wait()
    began = time.perf_counter()
    commits = sum((answers.get(timeout=600) for _ in processes), [])
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    return {"seconds": [seconds], "commits": commits}


def checkout(folder, url):
    """A working tree at the default branch, by a program that has just started."""
    manager = opened(folder)
    began = time.perf_counter()
    made = good(manager.checkout("corpus"))
    seconds = time.perf_counter() - began
    if not any(os.scandir(made.path)):
        sys.exit("the working tree is empty")
    return {"seconds": [seconds]}


def many(folder):
    """A thousand entries, listed and counted."""
    manager = opened(folder)
    for number in range(1000):
        source = f"{folder}/sources/project-{number}"
        os.makedirs(source)
        with open(f"{source}/file.txt", "w") as file:
            file.write(f"{number}\n")
        good(manager.cache_repository(source))

    def look():
        entries, stats = manager.list_cache_entries(), manager.get_cache_stats()
        assert len(entries) == stats["total_entries"] == stats["fresh_entries"] == 1000, stats
        return stats

    return timed(look, 15)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
