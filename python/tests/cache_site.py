"""A site with Git repositories, and a cache to keep copies of them in."""

import asyncio
import subprocess

import git_http
import pytest

from packhouse.cache import GitCacheConfig, GitCacheManager


def git(path, *arguments):
    done = subprocess.run(["git", "-C", str(path), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(work, files, message="Change"):
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", message)
    return git(work, "rev-parse", "HEAD")


class Remote:
    """A bare repository that a site serves, and a working copy to change it from."""

    def __init__(self, site, name):
        self.url = f"{site.url}/{name}.git"
        self.path = site.folder / f"{name}.git"
        self.work = site.folder / f"{name}-work"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.path)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.work)], check=True)
        git(self.work, "remote", "add", "origin", str(self.path))
        self.commit({"README.md": f"{name}\n"})

    def commit(self, files, message="Change"):
        id = commit(self.work, files, message)
        git(self.work, "push", "-q", "--force", "origin", "HEAD")
        return id


@pytest.fixture
def site(tmp_path):
    with git_http.serving(tmp_path / "site") as serving:
        yield serving


@pytest.fixture
def remote(site):
    return Remote(site, "team/repo")


@pytest.fixture
def config(tmp_path):
    return GitCacheConfig(cache_root=tmp_path / "cache")


@pytest.fixture
def manager(config):
    return GitCacheManager(config)


def good(result):
    assert not isinstance(result, Exception), result
    return result


def run(call):
    """What ``call`` returns, and how often the loop went round meanwhile."""
    ticks = 0

    async def count():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.002)
            ticks += 1

    async def both():
        counting = asyncio.create_task(count())
        try:
            return await call()
        finally:
            counting.cancel()

    return asyncio.run(both()), ticks
