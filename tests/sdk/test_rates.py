"""Rate limits as the SDKs and git see them."""

import json
import shutil
import subprocess
import time
import uuid

import httpx
import pytest
from binary import Server, clean_environment
from conftest import OURS, commit, new_key, private_pem, public_pem
from pierre_storage import ApiError, GitStorage, RefUpdateError
from test_node import NPM

BURST = 12
MANY = 60


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A server that takes few requests, and the settings of a client for it."""
    folder = tmp_path_factory.mktemp("limited")
    key = new_key("ES256")
    (folder / "key.pem").write_text(public_pem(key))
    with Server(folder / "data", flags=["--repo-rate", f"1:{BURST}"]) as server:
        server.admin("admin", "org", "create", "acme", "--public-key", folder / "key.pem")
        options = {"name": "acme", "key": private_pem(key), "api_base_url": server.url, "storage_base_url": server.host}
        if OURS:
            # Ours waits as long as it is told to; here the refusals themselves are wanted.
            options["attempts"] = 1
        yield server, options


async def used_up(storage):
    """A repository whose allowance is gone, and the error of the call that found out."""
    repo = await storage.create_repo(id=f"rates-{uuid.uuid4().hex}")
    for _ in range(MANY):
        try:
            await storage.find_one(id=repo.id)
        except ApiError as error:
            return repo, error
    raise AssertionError(f"{MANY} calls were admitted")


async def test_calls_report_it_with_their_documented_errors(limited):
    _, options = limited
    storage = GitStorage(options)
    repo, error = await used_up(storage)
    assert error.status_code == 429
    with pytest.raises(RefUpdateError) as refused:
        await commit(repo, {"a": "1"})
    assert refused.value.status == "unavailable"
    assert "too many requests for repository" in str(refused.value)
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await repo.list_branches()
    response = refused.value.response
    assert response.status_code == 429 and response.json()["code"] == "rate_limited"
    # Who waits as long as the answer says gets on.
    time.sleep(int(response.headers["retry-after"]))
    assert await storage.find_one(id=repo.id) is not None


NODE = """
const { createRequire } = require('node:module');
const { ApiError, GitStorage } = createRequire(process.env.NPM + '/package.json')('@pierre/storage');
(async () => {
  const storage = new GitStorage(JSON.parse(process.env.OPTIONS));
  const repo = await storage.createRepo({ id: process.env.REPO });
  for (let call = 0; call < 60; call++) {
    try {
      await repo.listBranches();
    } catch (error) {
      console.log(JSON.stringify([error instanceof ApiError, error.status, String(error.message)]));
      return;
    }
  }
})();
"""


@pytest.mark.once
def test_the_npm_sdk_reports_it_too(limited):
    _, options = limited
    renamed = {"apiBaseUrl": "api_base_url", "storageBaseUrl": "storage_base_url", "name": "name", "key": "key"}
    variables = {
        "NPM": str(NPM), "REPO": f"rates-{uuid.uuid4().hex}",
        "OPTIONS": json.dumps({theirs: options[ours] for theirs, ours in renamed.items()}),
    }  # fmt: skip
    done = subprocess.run(
        [shutil.which("node") or "node", "-e", NODE],
        env=clean_environment() | variables, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    is_api_error, status, message = json.loads(done.stdout)
    assert is_api_error and status == 429, done.stdout


async def test_git_shows_the_reason(limited, tmp_path):
    _, options = limited
    storage = GitStorage(options)
    repo, _ = await used_up(storage)
    url = (await repo.get_remote_url()).replace("https://", "http://")
    done = subprocess.run(
        ["git", "clone", url, tmp_path / "clone"], capture_output=True, text=True, env=clean_environment(), timeout=60
    )
    assert done.returncode != 0
    assert "remote: too many requests for repository" in done.stderr and "429" in done.stderr


@pytest.mark.skipif(not OURS, reason="packhouse.hosted alone")
async def test_our_sdk_waits_as_long_as_it_is_told_to(limited):
    _, options = limited
    repo, _ = await used_up(GitStorage(options))
    patient = GitStorage({**options, "attempts": 10})
    assert await patient.find_one(id=repo.id) is not None
    assert (await commit(patient.repo(id=repo.id), {"a": "1"}))["commit_sha"]
