"""Runs schemathesis over the API: a server of its own with one organisation, a repository with something in it, and calls
made up from /api/openapi.json. No call may be answered with a 5xx, or with anything that the document does not describe.

    run.py [ARGUMENT OF `schemathesis run`…]

The run is seeded and bounded. What it finds is printed with a curl command each, and the exit status says so.
"""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "sdk")]

from binary import Server  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

ORG = "acme"
SEED = "20240506"
# Calls made up for each operation, besides the systematic ones at the edges of each schema.
EXAMPLES = 40
LONGEST_SECONDS = 240
# So many operations may go without a success: which calls are made up changes with the document.
FRUITLESS = 4
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
]
# An endless answer, tested for itself.
NOT_CALLED = ["stream_events"]
PERSON = {"name": "Ann", "email": "ann@example.com"}


class Api:
    """The API as the organisation's software would call it, to put something there to begin with."""

    def __init__(self, server, folder):
        self.url = server.url
        key = ec.generate_private_key(ec.SECP256R1())
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        public = folder / "key.pem"
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        server.admin("admin", "org", "create", ORG, "--public-key", public)

    def call(self, repo, method, path, body=None, **options):
        os.environ.setdefault("PACKHOUSE_API_SEED", json.dumps({"org": ORG, "key": self.key}))
        from hooks import token

        headers = {"Authorization": f"Bearer {token(repo)}"}
        answer = requests.request(
            method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=60, **options
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def commit(self, repo, branch, files, **metadata):
        described = [{"path": path, "content_id": path, "operation": "upsert"} for path in files]
        metadata = {"target_branch": branch, "commit_message": "a change", "author": PERSON, "files": described} | metadata
        lines = [{"metadata": metadata}]
        for path, data in files.items():
            chunk = {"content_id": path, "data": base64.b64encode(data).decode(), "eof": True}
            lines.append({"blob_chunk": chunk})
        body = "".join(json.dumps(line) + "\n" for line in lines)
        made = self.call(repo, "POST", "/repos/commit-pack", data=body)
        return made["commit"]["commit_sha"]


def fill(api):
    """Puts something there to find, and returns what hooks.py should know of it."""
    numbers = range(20)
    commits, branches = [], [f"branch/{number}" for number in numbers]
    tags, named_tags = ["v1", *(f"tag/{number}" for number in numbers)], [f"named/{number}" for number in numbers]
    for repo in ("site", "merges"):
        api.call(repo, "POST", "/repos")
        commits.append(api.commit(repo, "main", {"a.txt": b"one\ntwo\n", "folder/b.txt": b"three\n"}))
        commits.append(api.commit(repo, "main", {"run.sh": b"#!/bin/sh\n", "picture.bin": bytes(range(256))}))
        api.commit(repo, "side", {"c.txt": b"four\n"}, base_branch="main")
        api.commit(repo, "conflict", {"a.txt": b"1\ntwo\n"}, base_branch="main")
        commits.append(api.commit(repo, "main", {"a.txt": b"one\n2\n"}))
        api.commit(repo, "draft", {"d.txt": b"five\n"}, base_branch="main", ephemeral=True)
        for branch in branches:
            api.call(repo, "POST", "/repos/branches/create", {"base_ref": "main", "target_branch": branch})
    for tag in [*tags, *named_tags]:
        api.call("site", "POST", "/repos/tags", {"name": tag, "ref": "main"})
    for ref in ("commits", "reviews"):
        for sha in ("main", "side"):
            api.call("site", "POST", "/repos/notes", {"sha": sha, "action": "add", "note": "fine", "ref": ref})
    webhooks = []
    for _ in range(10):
        hook = {"url": "http://127.0.0.1:9/receiver", "events": ["push"], "secret": "secret of the receiver"}
        webhooks.append(api.call("site", "POST", "/webhooks", hook)["id"])
    from hooks import token

    base = {"provider": "git", "url": f"{api.url}/site.git", "auth": {"auth_type": "credential"}}
    login = {"username": "t", "password": token("site")}
    until = time.monotonic() + 30
    for repo in ("attached", "follower"):
        api.call(repo, "POST", "/repos", {"base_repo": base})
        credential = api.call(repo, "POST", "/repos/git-credentials", login)["id"]
        while api.call(repo, "GET", "/repo")["sync"]["status"] != "ok":
            assert time.monotonic() < until, f"{repo} does not sync"
            time.sleep(0.05)
    api.commit("site", "main", {"e.txt": b"six\n"})
    cursors = [
        page["next_cursor"]
        for path in ("branches", "tags", "commits", "files")
        if (page := api.call("site", "GET", f"/repos/{path}?limit=1")).get("next_cursor")
    ]
    deliveries = []
    while not deliveries:
        assert time.monotonic() < until, "nothing is delivered"
        listed = api.call("site", "GET", f"/webhooks/{webhooks[0]}/deliveries")
        deliveries = [delivery["id"] for delivery in listed["deliveries"]]
        time.sleep(0.05)
    diff = "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1,2 @@\n #!/bin/sh\n+true\n"
    return {
        "url": api.url, "org": ORG, "key": api.key, "commits": commits, "branches": branches, "tags": tags, "named_tags": named_tags,
        "webhooks": webhooks, "deliveries": deliveries, "cursors": cursors, "credential": credential, "diff": diff,
    }  # fmt: skip


def schemathesis(api, seed, folder, arguments):
    """The exit status of schemathesis, which gets a while and no longer."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.url}/api/openapi.json",
        "--url", api.url, "--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS),
        "--max-examples", str(EXAMPLES), "--seed", SEED, "--generation-database", "none", "--no-color",
        "--request-timeout", "30", "--workers", "2", "--suppress-health-check", "all", "--warnings", "off",
    ]  # fmt: skip
    for operation in NOT_CALLED:
        command += ["--exclude-operation-id", operation]
    variables = {
        "PACKHOUSE_API_SEED": json.dumps(seed), "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run([*command, *arguments], env=os.environ | variables, cwd=folder, timeout=LONGEST_SECONDS)
    return done.returncode


def got_nowhere(api):
    """1 if many routes never answered with success: such a run says little. Names them."""
    metrics = requests.get(f"{api.url}/metrics", timeout=30).text
    pattern = r'packhouse_http_requests_total{method="(\w+)",route="(/api/[^"]+)",status="(\d+)"} (\d+)'
    answers = {}
    for method, route, status, count in re.findall(pattern, metrics):
        answers.setdefault(f"{method} {route}", {})[status] = int(count)
    document = requests.get(f"{api.url}/api/openapi.json", timeout=30).json()
    nowhere = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            seen = answers.get(f"{method.upper()} {path}", {})
            if operation["operationId"] not in NOT_CALLED and not any(status[0] == "2" for status in seen):
                nowhere.append(f"{method.upper()} {path}: {seen}")
    print(*(f"never with success: {line}" for line in nowhere), sep="\n")
    return int(len(nowhere) > FRUITLESS)


def main():
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[variable]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = base64.b64encode(bytes(range(32))).decode()
        flags = ["--allow-private-addresses"]
        with Server(folder / "data", flags=flags, env={"PACKHOUSE_CREDENTIALS_KEY": key}) as server:
            api = Api(server, folder)
            seed = fill(api)
            began = time.monotonic()
            status = schemathesis(api, seed, folder, sys.argv[1:])
            status = status or got_nowhere(api)
            print(f"schemathesis: {time.monotonic() - began:.0f} s, exit status {status}")
            if status != 0 or server.process.poll() is not None:
                print(f"the server's log ends with:\n{server.log_text()[-4000:]}")
                sys.exit(status or 1)


if __name__ == "__main__":
    main()
