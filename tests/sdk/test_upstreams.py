"""Repositories that follow another one: `base_repo`, `pull_upstream`, credentials, with another server as the upstream."""

import asyncio
import os
import signal
import subprocess
import uuid

import httpx
import pytest
from conftest import commit, new_key, private_pem, public_pem, read
from binary import Backend, Server, clean_environment
from pierre_storage import ApiError, GitStorage

PATIENCE = 30
KEY = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
FLAGS = ["--allow-private-addresses"]


class Party:
    """A server of its own with one organisation."""

    def __init__(self, folder, name, **options):
        self.folder, self.name, self.options = folder, name, options
        self.key = new_key("ES256")
        self.server = self.start()
        pem = folder / f"{name}.pem"
        pem.write_text(public_pem(self.key))
        self.server.admin("admin", "org", "create", name, "--public-key", pem)

    def start(self):
        self.server = Server(self.folder / self.name, Backend("sqlite-local"), flags=FLAGS, **self.options)
        return self.server

    @property
    def storage(self):
        return GitStorage({
            "name": self.name, "key": private_pem(self.key),
            "api_base_url": self.server.url, "storage_base_url": self.server.host,
        })


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    made = Party(tmp_path_factory.mktemp("source"), "source")
    yield made
    made.server.stop()


@pytest.fixture(scope="module")
def follower(tmp_path_factory, source):
    """A server for which the other one is GitHub."""
    env = {"PACKHOUSE_CREDENTIALS_KEY": KEY, "PACKHOUSE_GITHUB_URL": source.server.url}
    made = Party(tmp_path_factory.mktemp("follower"), "follower", env=env)
    yield made
    made.server.stop()


async def until(condition):
    for _ in range(PATIENCE * 20):
        if found := await condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it does not come to pass")


async def branches(repo):
    """The branches by name; None while the first sync is under way."""
    try:
        listed = await repo.list_branches()
    except Exception as error:
        assert "409" in f"{error} {getattr(error, 'status_code', '')}", error
        return None
    return {branch["name"]: branch["head_sha"] for branch in listed["branches"]}


async def following(follower, source, name):
    """A repository that follows `team/NAME` of the source, by the API: the SDKs have no field for a token."""
    upstream = source.storage
    original = await upstream.create_repo(id=f"team/{name}")
    first = await commit(original, {"a.txt": "one"})
    token = (await original.get_remote_url(permissions=["git:read"])).split("//t:")[1].split("@")[0]
    return original, first, {"auth_type": "token", "token": token, "username": "t"}


async def test_a_repository_follows_its_upstream(follower, source):
    name = uuid.uuid4().hex
    original, first, auth = await following(follower, source, name)
    base = {"owner": "team", "name": name, "default_branch": "main", "auth": auth}
    repo = await follower.storage.create_repo(id=name, base_repo=base)
    found = await until(lambda: branches(repo))
    assert found == {"main": first["commit_sha"]}
    assert await read(repo, "a.txt") == b"one"

    second = await commit(original, {"b.txt": "two"})
    assert await repo.pull_upstream() is None

    async def has_second():
        return (await branches(repo)) == {"main": second["commit_sha"]}

    await until(has_second)
    await repo.pull_upstream(ref="main")


async def test_what_cannot_be_pulled_or_followed_is_told(follower):
    storage = follower.storage
    repo = await storage.create_repo(id=uuid.uuid4().hex)
    with pytest.raises(Exception, match="400.*no upstream"):
        await repo.pull_upstream()
    # There is no GitHub App.
    with pytest.raises(ApiError) as refused:
        await storage.create_repo(id=uuid.uuid4().hex, base_repo={"owner": "octocat", "name": "Hello-World"})
    assert refused.value.status_code == 412


@pytest.mark.sdk1
async def test_a_credential_that_comes_later_begins_the_sync(follower, source):
    name = uuid.uuid4().hex
    _, first, auth = await following(follower, source, name)
    storage = follower.storage
    base = {"provider": "github", "owner": "team", "name": name, "auth": {"auth_type": "credential"}}
    repo = await storage.create_repo(id=name, base_repo=base)
    made = await storage.create_git_credential(repo_id=name, username="t", password=auth["token"])
    assert await until(lambda: branches(repo)) == {"main": first["commit_sha"]}
    listed = await storage.list_repos(q=name)
    assert listed["repos"][0]["base_repo"]["owner"] == "team"
    with pytest.raises(ApiError) as refused:
        await storage.create_git_credential(repo_id=name, password="x")
    assert refused.value.status_code == 409
    updated = await storage.update_git_credential(id=made["id"], username="t", password=auth["token"])
    assert updated["id"] == made["id"] and updated["created_at"]
    await storage.delete_git_credential(id=made["id"])
    for call in (
        storage.delete_git_credential(id=made["id"]),
        storage.update_git_credential(id=made["id"], password="x"),
    ):
        with pytest.raises(ApiError) as refused:
            await call
        assert refused.value.status_code == 404
    assert auth["token"] not in follower.server.log_text()


@pytest.mark.once
async def test_a_server_killed_in_the_middle_of_a_sync_goes_on_when_it_is_back(follower, source, tmp_path):
    # An upstream large enough that killing hits the middle of it.
    name = uuid.uuid4().hex
    original, _, auth = await following(follower, source, name)
    work = tmp_path / "work"

    def git(*args):
        done = subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", *args],
            cwd=work if work.exists() else tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    url = (await original.get_remote_url()).replace("https://", "http://")
    git("clone", "-q", url, "work")
    for number in range(2000):
        (work / f"{number}.bin").write_bytes(os.urandom(10_000))
    git("add", ".")
    git("commit", "-q", "-m", "Much")
    git("push", "-q", "origin", "main")
    head = git("rev-parse", "HEAD")

    storage = follower.storage
    # The upstream stands still until the sync has begun, and then has too much to send in the time that is left.
    source.server.process.send_signal(signal.SIGSTOP)
    try:
        repo = await storage.create_repo(id=name, base_repo={"owner": "team", "name": name, "auth": auth})
        await asyncio.sleep(0.5)
    finally:
        source.server.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.03)
    assert follower.server.stop(signal.SIGKILL) == -signal.SIGKILL
    follower.start()
    repo = await follower.storage.find_one(id=name)
    assert await until(lambda: branches(repo)) == {"main": head}
    token = (await repo.get_remote_url()).split("//t:")[1].split("@")[0]
    told = httpx.get(f"{follower.server.url}/api/v1/repo", headers={"Authorization": f"Bearer {token}"}).json()
    assert told["sync"]["run_count"] > 1, "the first run was not cut off"
    clone = (await repo.get_remote_url()).replace("https://", "http://")
    git("clone", "-q", "--mirror", clone, str(tmp_path / "mirror.git"))
    git("--git-dir", str(tmp_path / "mirror.git"), "fsck", "--full", "--strict")
