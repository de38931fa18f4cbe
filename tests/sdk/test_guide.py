"""The code blocks of the SDK's own guide, as they stand in its package, against a started server.

They run with that package, and with ours in its place: then PACKHOUSE_TEST_GUIDE names the file that has the guide.

Host names aside: `GitStorage` gets this server's addresses, and what the guide leaves open ("abc123...", a key, a path)
is filled in. Blocks that need what the server does not have yet are cut off there, as its OpenAPI document tells.
"""

import ast
import hashlib
import hmac
import inspect
import json
import os
import re
import subprocess
import time
import types
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from conftest import OURS, SDK_1, commit, create_branch, private_pem, read
from pierre_storage import GitStorage
from wire import AUTHOR

GUIDE_PATH = os.environ.get("PACKHOUSE_TEST_GUIDE")
pytestmark = pytest.mark.skipif(SDK_1 and not (OURS and GUIDE_PATH), reason="the guide of 0.6.1")

GUIDE = Path(GUIDE_PATH).read_text() if OURS and GUIDE_PATH else ""
if not OURS:
    GUIDE = metadata.metadata("pierre-storage").get_payload()
EMPTY = "0" * 40


def blocks():
    """The Python blocks by the heading they are below, or by the bold line before them."""
    found, heading, language, lines = {}, None, None, []
    for line in GUIDE.splitlines():
        if language is None and (match := re.match(r"#+ (.*)|\*\*(.*):\*\*$", line)):
            heading = match[1] or match[2]
        if line.startswith("```"):
            if language == "python":
                found.setdefault(heading, []).append("\n".join(lines))
            language, lines = (line[3:] or "text") if language is None else None, []
        elif language:
            lines.append(line)
    return found


BLOCKS = blocks()


def block(heading, number=0, until=None, **changes):
    """A block, up to a line that begins so, with other texts in place of some."""
    text = BLOCKS[heading][number]
    if until:
        assert until in text
        text = text[: text.index(until)]
    for old, new in changes.pop("replace", {}).items():
        assert old in text, old
        text = text.replace(old, new)
    assert not changes
    return text


async def run(code, **names):
    """Runs a block as a cell of a notebook, which may await. Returns the names it leaves."""
    space = {"__builtins__": __builtins__, "print": lambda *_: None, **names}
    result = eval(compile(code, "guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), space)
    if inspect.isawaitable(result):
        await result
    return types.SimpleNamespace(**space)


@pytest.fixture(scope="session")
def routes(server):
    return httpx.get(f"{server.url}/api/openapi.json").json()["paths"]


@pytest.fixture
async def filled(repo):
    """A repository with what the guide takes for granted."""
    await commit(repo, {"README.md": "# Hello\n", "docs/README.md": "Old line\n", "docs/legacy.txt": "x\n"})
    return repo


async def head(repo, branch="main"):
    return (await repo.list_commits(branch=branch))["commits"][0]["sha"]


def test_every_block_of_the_guide_is_known():
    """A block that nobody runs here would go unnoticed."""
    assert sorted(BLOCKS) == sorted(
        [
            "Basic Setup", "Creating a Repository", "Finding a Repository", "Getting Remote URLs",
            "Working with Repository Content", "Creating Commits", "Creating Commits from Diff Streams",
            "Branching Example", "Creating an ephemeral branch", "Branching from an ephemeral base",
            "Promoting an ephemeral branch", "Streaming Large Files", "GitHub Repository Sync", "Restoring Commits",
            "GitStorage", "Repo", "Type Definitions", "Webhook Validation", "Manual JWT Generation", "Error Handling",
        ]
    )  # fmt: skip
    for heading, texts in BLOCKS.items():
        for text in texts:
            compile(text, heading, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def test_basic_setup_creating_and_finding(server, org, storage):
    hosts = {"api_base_url": server.url, "storage_base_url": server.host}
    setup = block("Basic Setup", replace={"from pierre_storage import GitStorage": "", '"your-name"': "NAME", '"your-key"': "KEY"})
    made = await run(setup, GitStorage=lambda options: GitStorage(options | hosts), NAME=org.name, KEY=private_pem(org.keys["ES256"]))
    assert made.storage.get_config()["name"] == org.name
    code = block("Creating a Repository", until="# Create a repository with GitHub sync")
    made = await run(code, storage=made.storage)
    assert re.fullmatch(r"[0-9a-f-]{36}", made.repo.id)
    assert made.custom_repo.id == "my-custom-repo"
    found = await run(block("Finding a Repository", replace={"repo-id": "my-custom-repo"}), storage=storage)
    assert found.url.endswith("/my-custom-repo.git")
    assert (await run(block("Finding a Repository"), storage=storage)).found_repo is None


async def test_remote_urls(filled, server):
    made = await run(block("Getting Remote URLs"), repo=filled)
    for url, suffix in [(made.url, ".git"), (made.read_only_url, ".git"), (made.ephemeral_url, "+ephemeral.git")]:
        assert url.endswith(f"@{server.host}/{filled.id}{suffix}")
        subprocess.run(["git", "ls-remote", url.replace("https://", "http://")], check=True, capture_output=True)


async def test_repository_content(filled, storage, routes):
    await create_branch(filled, "main", "feature-branch")
    await commit(filled, {"new.txt": "new\n"}, branch="feature-branch")
    has_diffs = {"/api/v1/repos/diff", "/api/v1/repos/branches/diff"} <= set(routes)
    code = block(
        "Working with Repository Content",
        until=None if has_diffs else "# Get branch diff",
        replace={
            "repo = await storage.create_repo()\n# or\n": "",
            "existing-repo-id": filled.id,
        }
        | ({"abc123...": await head(filled)} if has_diffs else {}),
    )
    made = await run(code, storage=storage)
    assert made.text == b"# Hello\n"
    assert made.files["paths"] == ["README.md", "docs/README.md", "docs/legacy.txt"]
    assert {branch["name"] for branch in made.branches["branches"]} == {"main", "feature-branch"}
    assert made.branch_result["target_branch"] == "feature/preview"
    assert made.branch_result["commit_sha"] == await head(filled)
    assert len(made.commits["commits"]) == 1
    if has_diffs:
        assert [file["path"] for file in made.branch_diff["files"]] == ["new.txt"]
        assert made.commit_diff["stats"]["files"] == 3


async def test_creating_commits(filled):
    before = await head(filled)
    made = await run(block("Creating Commits"), repo=filled)
    result = made.result
    shape = ast.literal_eval(re.sub(r"\bstr\b|\bint\b", "0", re.sub("#.*", "", BLOCKS["Creating Commits"][1])))
    assert result.keys() == shape.keys()
    assert result["ref_update"] == {"branch": "main", "old_sha": before, "new_sha": result["commit_sha"]}
    assert (await filled.list_files())["paths"] == ["README.md", "docs/README.md", "docs/changelog.md", "docs/readme.md"]
    branching = await run(block("Branching Example"), repo=filled)
    assert branching.result["ref_update"]["old_sha"] == EMPTY
    assert await read(filled, "feature.py", ref="feature/new-feature") == b"# New feature implementation\n"


async def test_creating_commits_from_diffs(filled):
    code = block("Creating Commits from Diff Streams", replace={"abc123...": await head(filled)})
    made = await run(code, repo=filled)
    assert made.result["commit_sha"] == await head(filled)
    assert await read(filled, "docs/README.md") == b"New line\n"


async def test_ephemeral_branches(filled):
    made = await run(block("Creating an ephemeral branch"), repo=filled)
    assert made.content == b"<h1>Preview</h1>"
    assert "index.html" in made.files["paths"]
    variant = await run(block("Branching from an ephemeral base"), repo=filled)
    assert variant.result["target_branch"] == "preview/pr-123-variant"
    promoted = await run(block("Promoting an ephemeral branch"), repo=filled)
    assert promoted.result["target_branch"] == "feature/awesome-change"
    names = {branch["name"] for branch in (await filled.list_branches())["branches"]}
    assert names == {"main", "preview/pr-123", "feature/awesome-change"}


async def test_streaming_large_files(filled, tmp_path):
    await create_branch(filled, "main", "assets")
    content = bytes(range(256)) * 40_000
    (tmp_path / "large-file.zip").write_bytes(content)
    code = block("Streaming Large Files", replace={"/tmp/": f"{tmp_path}/", "abc123...": await head(filled)})
    await run(code, repo=filled)
    assert await read(filled, "assets/design-kit.zip", ref="assets") == content


async def test_restoring_commits(filled):
    first = await head(filled)
    second = (await commit(filled, {"README.md": "broken"}))["commit_sha"]
    code = block("Restoring Commits", replace={"abc123...": first, "def456...": second})
    made = await run(code, repo=filled)
    assert made.result["ref_update"]["old_sha"] == second
    assert await read(filled, "README.md") == b"# Hello\n"
    assert (await filled.list_commits())["commits"][0]["message"] == "Restore to stable version"


def test_the_reference_is_what_the_sdk_has():
    for heading, kind in [("GitStorage", GitStorage), ("Repo", None)]:
        for node in ast.walk(ast.parse(BLOCKS[heading][0])):
            if kind and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert callable(getattr(kind, node.name))


async def test_types(storage):
    code = BLOCKS["Type Definitions"][0]
    names = "from typing import Literal, Optional, TypedDict\n"
    made = await run(names + code, __name__="guide")
    assert made.RefUpdate and made.BaseRepo.__annotations__.keys() == {"provider", "owner", "name", "default_branch"}


async def test_webhooks():
    """Signed as the server signs them."""
    payload = {
        "repository": {"id": "r", "url": "team/r"}, "ref": "refs/heads/main", "before": EMPTY, "after": "1" * 40,
        "customer_id": "c", "pushed_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    body, now = json.dumps(payload), int(time.time())
    signature = hmac.new(b"your-webhook-secret", f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
    headers = {"X-Pierre-Signature": f"t={now},sha256={signature}", "X-Pierre-Event": "push"}
    request = types.SimpleNamespace(body=body.encode(), headers=headers)
    made = await run(BLOCKS["Webhook Validation"][0], request=request)
    assert made.result["valid"] and made.event["after"] == "1" * 40


async def test_manual_tokens(filled, server, org, tmp_path):
    key = tmp_path / "key.pem"
    key.write_text(private_pem(org.keys["ES256"]))
    code = block(
        "Manual JWT Generation",
        replace={
            "path/to/key.pem": str(key), "your-name.code.storage": server.host, "your-name": org.name,
            "your-repo-id": filled.id, "https://": "http://",
        },
    )  # fmt: skip
    made = await run(code)
    out = subprocess.run(["git", "ls-remote", made.git_url, "main"], check=True, capture_output=True, text=True)
    assert out.stdout.startswith(await head(filled))


async def test_errors(filled, storage):
    builder = filled.create_commit(target_branch="main", commit_message="m", author=AUTHOR, expected_head_sha="1" * 40)
    said = []
    code = block("Error Handling", replace={'"existing"': repr(filled.id)})
    await run(code, storage=storage, builder=builder, print=lambda text: said.append(text))
    assert said[0].startswith("API error: Repository already exists")
    assert said[1] == "Status code: 409"
    assert said[3:5] == ["Status: precondition_failed", "Reason: precondition_failed"]
    assert len(said) == 6
