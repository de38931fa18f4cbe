"""`packhouse cache` on the command line, with a started server of ours as the remote."""

import json
import os

import pytest
from binary import run
from conftest import commit

pytestmark = pytest.mark.once


@pytest.fixture
async def started(repo):
    repo.first = (await commit(repo, {"README.md": "# Hello\n"}))["commit_sha"]
    return repo


@pytest.fixture
def url(server, started):
    """The repository's, without who asks."""
    return f"{server.url}/{started.id}.git"


@pytest.fixture
def token(org, started):
    return org.token(started.id)


def mentions(folder, text):
    """The files below a folder that hold the text."""
    found = []
    for parent, _, files in os.walk(folder):
        paths = [os.path.join(parent, file) for file in files]
        found += [path for path in paths if text.encode() in open(path, "rb").read()]
    return found


async def test_a_private_repository_of_ours_is_cached_and_the_token_kept_nowhere(started, url, token, tmp_path):
    root = ["--root", tmp_path / "cache"]
    refused = run("cache", "add", url, *root, check=False)
    assert refused.returncode == 1 and "Authentication failed" in refused.stderr
    run("cache", "remove", json.loads(run("cache", "list", "--json", *root).stdout)["entries"][0]["name"], *root)
    with_token = url.replace("://", f"://t:{token}@")
    entry = json.loads(run("cache", "add", with_token, "--name", "site", "--json", *root).stdout)
    assert (entry["status"], entry["local_commit_hash"], entry["source_url"]) == ("fresh", started.first, url)
    newer = (await commit(started, {"new.txt": "new\n"}))["commit_sha"]
    entry = json.loads(run("cache", "add", with_token, "--name", "site", "--json", *root).stdout)
    assert entry["local_commit_hash"] == newer
    made = json.loads(run("cache", "checkout", "site", started.first, "--json", *root).stdout)
    assert made["commit"] == started.first and os.listdir(made["path"]) != os.listdir(entry["cache_path"])
    details = json.loads(run("cache", "details", "site", "--json", *root).stdout)
    assert details["exists"] is True and token not in json.dumps(details)
    assert mentions(tmp_path, token) == []
    run("cache", "remove", "--checkout", made["id"], *root)
    assert json.loads(run("cache", "clear", "--yes", "--json", *root).stdout) == {"removed": 1, "in_use": []}
    assert json.loads(run("cache", "stats", "--json", *root).stdout)["total_size_bytes"] == 0


@pytest.mark.parametrize(
    "command, status",
    [
        (["get", "none"], 1),
        (["refresh", "none"], 1),
        (["remove", "none"], 1),
        (["details", "none"], 1),
        (["checkout", "none", "main"], 1),
        (["remove", "--checkout", "none"], 1),
        (["add", "none"], 2),
        (["add", ".", "--name", "../x"], 2),
        (["clear"], 2),
        (["list", "--max-size", "much"], 2),
    ],
)
def test_a_failure_is_told_by_the_exit_status(tmp_path, command, status):
    done = run("cache", *command, "--root", tmp_path / "cache", check=False, cwd=tmp_path)
    assert done.returncode == status and done.stdout == "", done.stderr
    lines = done.stderr.rstrip().splitlines()
    assert lines[0].startswith("error: ") and lines[-1].startswith("hint: ")
