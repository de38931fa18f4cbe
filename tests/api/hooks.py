"""What schemathesis cannot know: whose token goes with a call, and which names lead anywhere.

Loaded by schemathesis (`SCHEMATHESIS_HOOKS`). `run.py` says in PACKHOUSE_API_SEED what there is on the server. Generated
values are replaced in most calls by those that exist, so that calls get past 400 and 404; the rest stays as generated.
What is replaced, and by what, follows from the generated call alone: a seed gives the same run again.
"""

import base64
import hashlib
import json
import os
import random
import time
import uuid

import jwt
import requests
import schemathesis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED = json.loads(os.environ["PACKHOUSE_API_SEED"])
SCOPES = ["git:read", "git:write", "repo:write", "org:read"]
# A port of this machine where nobody listens: the server may try, and learns at once that it is no use.
NOWHERE = "http://127.0.0.1:9"
PUBLIC_KEY = (
    Ed25519PrivateKey.from_private_bytes(bytes(32))
    .public_key()
    .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    .decode()
)
# Which repository a call is for, where that is not the usual one.
REPO_OF = {
    "pull_upstream": "follower",
    # One that no other call detaches.
    "change_upstream": "attached",
    "detach_upstream": "follower",
    "create_git_credential": "follower",
    "update_git_credential": "follower",
    "delete_git_credential": "follower",
    "update_named_git_credential": "follower",
    "delete_named_git_credential": "follower",
    "merge_branches": "merges",
    "cherry_pick": "merges",
    "revert": "merges",
}


# About a credential that must be there.
CREDENTIALS = {
    "update_git_credential",
    "delete_git_credential",
    "update_named_git_credential",
    "delete_named_git_credential",
}


def token(repo):
    now = int(time.time())
    claims = {"iss": SEED["org"], "sub": "schemathesis", "repo": repo, "scopes": SCOPES, "iat": now, "exp": now + 3600}
    return jwt.encode(claims, SEED["key"], "ES256")


def _operation_id(operation):
    return operation.definition.raw.get("operationId", "")


def _repo(operation_id):
    if operation_id == "create_repository":
        return f"new/{uuid.uuid4().hex}"
    if operation_id == "delete_repository":
        name = f"gone/{uuid.uuid4().hex}"
        made = requests.post(f"{SEED['url']}/api/v1/repos", headers={"Authorization": f"Bearer {token(name)}"}, timeout=30)
        assert made.status_code == 201, made.text
        return name
    return REPO_OF.get(operation_id, "site")


@schemathesis.auth(refresh_interval=None)
class Token:
    """A token of the organisation with every scope, for the repository that the call is about."""

    def get(self, case, ctx):
        return token(_repo(_operation_id(case.operation)))

    def set(self, case, data, ctx):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


def _dice(*what):
    """Random numbers that follow from `what`."""
    text = json.dumps(what, sort_keys=True, default=repr)
    return random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())


def _known(operation_id, name, dice):
    """A value that leads somewhere, for a parameter or field of that name; `None` if there is none to tell."""
    revisions = ["main", "side", "v1", "main~1", "HEAD", "draft", *SEED["commits"]]
    branches = ["main", "side", "conflict", "draft", *SEED["branches"]]
    choices = {
        "ref": revisions,
        "sha": revisions,
        "base_ref": revisions,
        "baseSha": revisions,
        "object_ref": revisions,
        "source_ref": revisions,
        "target_commit_sha": revisions,
        "branch": branches,
        "base": branches,
        "base_branch": branches,
        "source_branch": branches,
        "target_branch": [*branches, "new"],
        "target": SEED["commits"],
        "commits": SEED["commits"],
        "commit": ["side", "main", SEED["commits"][1]],
        "commit_message": ["a change"],
        "expected_head_sha": ["", "", SEED["commits"][0]],
        "expected_target_sha": ["", "", SEED["commits"][0]],
        "after": ["0"],
        "mainline": [1],
        "username": ["t"],
        "password": ["secret"],
        "path": ["a.txt", "folder/b.txt", "folder", "run.sh", "picture.bin"],
        "pattern": ["one", "t.o", "[a-z]+", "("],
        "prefix": ["reviews", "refs/notes/", ""],
        "archive_prefix": ["site/"],
        "range": ["1,1", "1,+5", "/one/,2"],
        "strategy": ["merge", "ff_only", "ff_prefer"],
        "operation": ["fork", "snapshot"] if operation_id == "create_repository" else ["upsert", "delete"],
        "mode": ["100644", "100755", "120000", "160000"],
        "limit": [1, 2, 100],
        "events": [["push"], ["push", "repo.sync.failed"]],
        "cursor": SEED["cursors"],
        "delivery": SEED["deliveries"],
        "repo_id": ["follower"],
        "repo": [REPO_OF.get(operation_id, "site")],
        "default_branch": ["main", "trunk"],
        "provider": ["code", "git", "github", "gitlab"],
        "auth_type": ["public", "token", "credential", "github_app"],
        "token": [token("site")],
        "owner": [SEED["org"]],
        "author": [{"name": "Ann", "email": "ann@example.com"}],
        "committer": [{"name": "Bob", "email": "bob@example.com", "timestamp": "2024-05-06T07:08:09Z"}],
        "content_id": ["one", "two"],
        "public_key": [PUBLIC_KEY],
        "scopes": [["git:read"]],
        "expires_at": ["2100-01-01T00:00:00Z"],
    }
    if name == "id" and operation_id in CREDENTIALS:
        return _credential()
    if name in ("sha", "object_ref") and operation_id == "delete_note":
        return "side"
    if name == "ref" and operation_id.endswith("_note"):
        return dice.choice(["reviews", "commits"])
    if name == "range" and operation_id in ("cherry_pick", "revert"):
        return None
    if name == "id":
        # The first webhook is one whose deliveries are known; it is not deleted.
        choices["id"] = SEED["webhooks"][1:] if operation_id == "delete_webhook" else SEED["webhooks"][:1]
    if name == "name":
        choices["name"] = {
            "get_tag": SEED["tags"],
            "delete_tag": SEED["tags"],
            "delete_named_tag": SEED["named_tags"],
            "create_tag": ["v2", "release/3", "v1"],
            "create_repository": ["site", "gone"],
        }.get(operation_id, [*branches, "new"])
    return dice.choice(choices[name]) if choices.get(name) else None


def _with_known(operation_id, value, dice, percent):
    if isinstance(value, list):
        return [_with_known(operation_id, item, dice, percent) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, item in value.items():
        # The path of another repository is refused, whatever else there is in the call.
        is_replaced = name == "repo" or dice.randrange(100) < percent
        known = _known(operation_id, name, dice) if is_replaced else None
        made[name] = _with_known(operation_id, item, dice, percent) if known is None else known
    return made


def _kept_here(body):
    """`body`, but what it has the server connect to is on this machine: this is no test of other people's servers."""
    if not isinstance(body, dict):
        return body
    body = dict(body)
    if isinstance(body.get("url"), str) and "." in body["url"]:
        body["url"] = f"{NOWHERE}/receiver"
    elif "url" in body and "events" in body:
        body["url"] = f"{NOWHERE}/receiver"
    base = body.get("base_repo")
    if isinstance(base, dict):
        base = dict(base)
        if base.get("provider") == "git":
            base["url"] = f"{NOWHERE}/site.git"
            base.pop("upstream_host", None)
        else:
            base["upstream_host"] = "127.0.0.1:9"
        body["base_repo"] = base
    return body


def _credential():
    """The id of the follower's credential, which is made again where an earlier call deleted it."""
    path = f"{SEED['url']}/api/v1/repos/git-credentials"
    headers = {"Authorization": f"Bearer {token('follower')}"}
    made = requests.post(path, json={"password": "secret"}, headers=headers, timeout=30)
    if made.status_code == 201:
        SEED["credential"] = made.json()["id"]
    return SEED["credential"]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts values that lead somewhere into a call: into some places, into all, or into none."""
    operation_id = _operation_id(case.operation)
    dice = _dice(operation_id, case.path_parameters, case.query, case.body)
    case.path_parameters = _with_known(operation_id, case.path_parameters, dice, dice.choice([0, 100, 100, 100]))
    percent = dice.choice([0, 50, 100, 100])
    case.query = _with_known(operation_id, case.query, dice, percent)
    case.body = _kept_here(_with_known(operation_id, case.body, dice, percent))


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    """The first line as generated, and the lines that it asks for: a chunk for each content, or a diff."""
    lines = [value]
    metadata = value.get("metadata") if isinstance(value, dict) else None
    data = base64.b64encode(b"one\ntwo\n").decode()
    if isinstance(metadata, dict) and isinstance(metadata.get("files"), list):
        files = [file for file in metadata["files"] if isinstance(file, dict)]
        wanted = [file.get("content_id", "") for file in files if file.get("operation") != "delete"]
        unique = {json.dumps(content): content for content in wanted}
        lines += [{"blob_chunk": {"content_id": content, "data": data, "eof": True}} for content in unique.values()]
    if _operation_id(context.case.operation) == "create_commit_from_diff":
        lines = [value, {"diff_chunk": {"data": base64.b64encode(SEED["diff"].encode()).decode(), "eof": True}}]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()

