"""The API without an SDK: requests that an SDK could not send."""

import base64
import json
import uuid

import httpx

AUTHOR = {"name": "Ada Lovelace", "email": "ada@example.com"}


class Api:
    """A kept connection, and a token for each request."""

    def __init__(self, server, org):
        self.server, self.org = server, org
        self.http = httpx.Client(base_url=f"{server.url}/api/v1", timeout=60)

    def __call__(self, method, path, repo=None, *, token=None, scopes=("git:read", "git:write"), headers=None, **options):
        token = token or self.org.token(repo, scopes)
        headers = {"Authorization": f"Bearer {token}"} | (headers or {})
        return self.http.request(method, path, headers=headers, **options)

    def create(self, commits=0):
        """The id of a fresh repository with so many commits, each of one file."""
        name = f"raw-{uuid.uuid4().hex}"
        assert self("POST", "/repos", name, scopes=["repo:write"], json={}).status_code == 201
        for number in range(commits):
            assert send(self, name, metadata("c1"), chunk("c1", b"%d" % number)).status_code == 201
        return name


def metadata(*content_ids, files=None, **fields):
    """The first line of a commit: by default a file for each content id, named after it."""
    if files is None:
        files = [{"path": f"file-{i}", "content_id": i, "operation": "upsert", "mode": "100644"} for i in content_ids]
    return {"metadata": {"target_branch": "main", "commit_message": "m", "author": AUTHOR, "files": files} | fields}


def chunk(content_id, data, eof=True):
    """A line with a piece of a file."""
    return {"blob_chunk": {"content_id": content_id, "data": base64.b64encode(data).decode(), "eof": eof}}


def encode(lines):
    """Lines as they are sent; bytes are sent as they are."""
    return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)


def send(api, repo, *lines, headers=None, stream=True, **options):
    """Sends a commit: in chunks, or as one body of known length."""
    body = encode(lines)
    headers = {"Content-Type": "application/x-ndjson"} | (headers or {})
    return api("POST", "/repos/commit-pack", repo, content=iter([body]) if stream else body, headers=headers, **options)
