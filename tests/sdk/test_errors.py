"""Every error that the SDKs' documentation names, call by call: which exception it is, and with which status."""

import uuid

import httpx
import pytest
from conftest import SDK_1, commit, create_branch, new_key, private_pem
from pierre_storage import ApiError, RefUpdateError
from wire import AUTHOR

NOWHERE = "1" * 40
BROKEN = "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-nothing like it\n+x\n"
WITH = {"commit_message": "m", "author": AUTHOR}


class World:
    """A repository whose `main` and `topic` are in conflict, one without commits, and clients that may not have them."""

    def __init__(self, client):
        self.client, self.storage = client, client()

    async def fill(self):
        self.repo = await self.storage.create_repo(id=f"errors/{uuid.uuid4().hex}")
        self.empty = await self.storage.create_repo(id=f"errors/{uuid.uuid4().hex}")
        self.first = (await commit(self.repo, {"a": "1\n"}))["commit_sha"]
        await commit(self.repo, {"a": "topic\n"}, branch="topic", base_branch="main")
        self.head = (await commit(self.repo, {"a": "main\n"}))["commit_sha"]
        if SDK_1:
            self.missing = self.storage.repo(id=f"errors/{uuid.uuid4().hex}")
            self.foreign = self.client(key=private_pem(new_key("ES256"))).repo(id=self.repo.id)
            await self.repo.create_tag(name="v1", target=self.first)
            await self.repo.create_note(sha=self.first, note="one")
        return self

    def diff(self, text, repo=None, **options):
        options = {"target_branch": "main", "commit_message": "m", "author": AUTHOR} | options
        return (repo or self.repo).create_commit_from_diff(diff=text, **options)

    def restore(self, sha, **options):
        return self.repo.restore_commit(target_branch="main", target_commit_sha=sha, author=AUTHOR, **options)

    def fork(self, source, **options):
        base = {"id": source} | options
        return self.storage.create_repo(id=f"errors/{uuid.uuid4().hex}", base_repo=base)


@pytest.fixture
async def world(client):
    return await World(client).fill()


def of(error, status):
    """What the error says of its status, whatever class it is."""
    match error:
        case ApiError():
            return error.status_code == status
        case RefUpdateError():
            return error.status == status
        case httpx.HTTPStatusError():
            return error.response.status_code == status
    # `pull_upstream` of every version raises a plain exception with the status in its text.
    return str(status) in str(error)


READ = httpx.HTTPStatusError
# Name, exception, status, the call. Both versions of the SDK have these.
BOTH = [
    ("create_repo: it exists", ApiError, 409, lambda w: w.storage.create_repo(id=w.repo.id)),
    ("create_repo: no such id can be", ApiError, 400, lambda w: w.storage.create_repo(id="a//b")),
    (
        "create_repo: no GitHub App", ApiError, 412,
        lambda w: w.storage.create_repo(base_repo={"owner": "o", "name": "n"}),
    ),
    ("get_file_stream: no such path", READ, 404, lambda w: w.repo.get_file_stream(path="none")),
    ("get_file_stream: no such ref", READ, 404, lambda w: w.repo.get_file_stream(path="a", ref="none")),
    ("get_file_stream: a path that leaves", READ, 400, lambda w: w.repo.get_file_stream(path="../a")),
    ("list_files: no commits", READ, 404, lambda w: w.empty.list_files()),
    ("list_files: no such ref", READ, 404, lambda w: w.repo.list_files(ref="none")),
    ("list_branches: a bad cursor", READ, 400, lambda w: w.repo.list_branches(cursor="none")),
    ("list_commits: no such branch", READ, 404, lambda w: w.repo.list_commits(branch="none")),
    ("list_commits: a bad cursor", READ, 400, lambda w: w.repo.list_commits(cursor="20")),
    ("create_branch: a bad name", ApiError, 400, lambda w: create_branch(w.repo, "main", "a..b")),
    ("create_branch: no base", ApiError, 404, lambda w: create_branch(w.repo, "none", "new")),
    ("create_branch: it went another way", ApiError, 409, lambda w: create_branch(w.repo, "main", "topic")),
    ("promote: no such branch", ApiError, 404, lambda w: w.repo.promote_ephemeral_branch(base_branch="none")),
    ("get_branch_diff: no such branch", READ, 404, lambda w: w.repo.get_branch_diff(branch="none")),
    ("get_branch_diff: no such base", READ, 404, lambda w: w.repo.get_branch_diff(branch="main", base="none")),
    ("get_commit_diff: no such commit", READ, 404, lambda w: w.repo.get_commit_diff(sha=NOWHERE)),
    ("get_commit_diff: no such base", READ, 404, lambda w: w.repo.get_commit_diff(sha=w.head, base_sha=NOWHERE)),
    ("pull_upstream: there is none", Exception, 400, lambda w: w.repo.pull_upstream()),
    ("restore_commit: no such commit", RefUpdateError, "not_found", lambda w: w.restore(NOWHERE)),
    ("restore_commit: no revision", RefUpdateError, "not_found", lambda w: w.restore("none")),
    (
        "restore_commit: it moved", RefUpdateError, "precondition_failed",
        lambda w: w.restore(w.first, expected_head_sha=w.first),
    ),
    (
        "create_commit: it moved", RefUpdateError, "precondition_failed",
        lambda w: commit(w.repo, {"a": "3"}, expected_head_sha=w.first),
    ),
    ("create_commit: no such branch", RefUpdateError, "not_found", lambda w: commit(w.repo, {"a": "3"}, branch="none")),
    (
        "create_commit: no base", RefUpdateError, "not_found",
        lambda w: commit(w.repo, {"a": "3"}, branch="new", base_branch="none"),
    ),
    ("create_commit: a bad path", RefUpdateError, "invalid", lambda w: commit(w.repo, {"../a": "3"})),
    ("create_commit: a folder in the way", RefUpdateError, "conflict", lambda w: commit(w.repo, {"a/b": "3"})),
    ("create_commit: a bad branch", RefUpdateError, "invalid", lambda w: commit(w.repo, {"a": "3"}, branch="a..b")),
    ("diff: it does not apply", RefUpdateError, "conflict", lambda w: w.diff(BROKEN)),
    ("diff: it is empty", RefUpdateError, "invalid", lambda w: w.diff("")),
    ("diff: it is none", RefUpdateError, "invalid", lambda w: w.diff("hello\n")),
    ("diff: it moved", RefUpdateError, "precondition_failed", lambda w: w.diff(BROKEN, expected_head_sha=w.first)),
    ("diff: no such branch", RefUpdateError, "not_found", lambda w: w.diff(BROKEN, target_branch="none")),
]

# These only from 1.0 on.
NEWER = [
    (
        "find_one: a stranger", ApiError, 401,
        lambda w: w.client(key=private_pem(new_key("ES256"))).find_one(id=w.repo.id),
    ),
    ("delete_repo: never was", ApiError, 404, lambda w: w.storage.delete_repo(id=w.missing.id)),
    ("list_repos: a bad cursor", ApiError, 400, lambda w: w.storage.list_repos(cursor="none")),
    ("fork: no such source", ApiError, 404, lambda w: w.fork(w.missing.id)),
    ("fork: no such ref", ApiError, 404, lambda w: w.fork(w.repo.id, ref="none")),
    ("fork: no such commit", ApiError, 404, lambda w: w.fork(w.repo.id, sha=NOWHERE)),
    (
        "credential: no repository", ApiError, 404,
        lambda w: w.storage.create_git_credential(repo_id=w.missing.id, password="p"),
    ),
    ("credential: none to change", ApiError, 404, lambda w: w.storage.update_git_credential(id=NOWHERE, password="p")),
    ("credential: none to delete", ApiError, 404, lambda w: w.storage.delete_git_credential(id=NOWHERE)),
    ("head_file: no such path", READ, 404, lambda w: w.repo.head_file(path="none")),
    ("archive: no such ref", READ, 404, lambda w: w.repo.get_archive_stream(ref="none")),
    ("archive: a bad glob", READ, 400, lambda w: w.repo.get_archive_stream(include_globs=["[a-"])),
    ("list_files: no such folder", READ, 404, lambda w: w.repo.list_files(path="none")),
    ("list_files: a bad cursor", READ, 400, lambda w: w.repo.list_files(cursor="none")),
    ("metadata: no such ephemeral branch", READ, 400, lambda w: w.repo.list_files_with_metadata(ephemeral=True)),
    ("metadata: no such ref", READ, 404, lambda w: w.repo.list_files_with_metadata(ref="none")),
    ("get_commit: no such revision", READ, 404, lambda w: w.repo.get_commit(sha="none")),
    ("delete_branch: the default one", ApiError, 409, lambda w: w.repo.delete_branch(name="main")),
    ("delete_branch: no such branch", ApiError, 404, lambda w: w.repo.delete_branch(name="none")),
    (
        "merge: a conflict", ApiError, 409,
        lambda w: w.repo.merge(source_branch="topic", target_branch="main", strategy="merge", **WITH),
    ),
    (
        "merge: no source", ApiError, 404,
        lambda w: w.repo.merge(source_branch="none", target_branch="main", strategy="merge", **WITH),
    ),
    (
        "merge: no target", ApiError, 404,
        lambda w: w.repo.merge(source_branch="main", target_branch="none", strategy="merge", **WITH),
    ),
    (
        "merge: no fast-forward", ApiError, 409,
        lambda w: w.repo.merge(source_branch="topic", target_branch="main", strategy="ff_only"),
    ),
    (
        "merge: it moved", ApiError, 409,
        lambda w: w.repo.merge(source_branch="topic", target_branch="main", strategy="merge", expected_target_sha=w.first, **WITH),
    ),
    ("preview: no source", ApiError, 404, lambda w: w.repo.preview_merge(source_branch="none", target_branch="main")),
    ("create_tag: it exists", ApiError, 409, lambda w: w.repo.create_tag(name="v1", target=w.head)),
    ("create_tag: no such commit", ApiError, 404, lambda w: w.repo.create_tag(name="v2", target=NOWHERE)),
    ("create_tag: no whole id", ApiError, 400, lambda w: w.repo.create_tag(name="v2", target="main")),
    ("delete_tag: no such tag", ApiError, 404, lambda w: w.repo.delete_tag(name="v2")),
    ("list_tags: a bad cursor", READ, 400, lambda w: w.repo.list_tags(cursor="none")),
    ("get_note: none", READ, 404, lambda w: w.repo.get_note(sha=w.head)),
    ("create_note: it exists", RefUpdateError, "conflict", lambda w: w.repo.create_note(sha=w.first, note="two")),
    ("create_note: no such object", RefUpdateError, "not_found", lambda w: w.repo.create_note(sha=NOWHERE, note="x")),
    (
        "append_note: the notes moved", RefUpdateError, "precondition_failed",
        lambda w: w.repo.append_note(sha=w.first, note="x", expected_ref_sha=w.first),
    ),
    ("delete_note: none", RefUpdateError, "not_found", lambda w: w.repo.delete_note(sha=w.head)),
    ("blame: no such path", READ, 404, lambda w: w.repo.get_blame(path="none")),
    ("blame: no such ref", READ, 404, lambda w: w.repo.get_blame(path="a", ref="none")),
    ("blame: a range past the end", READ, 400, lambda w: w.repo.get_blame(path="a", ranges=["9,12"])),
    ("grep: a bad pattern", READ, 400, lambda w: w.repo.grep(pattern="(")),
    ("grep: a bad cursor", READ, 400, lambda w: w.repo.grep(pattern="x", pagination={"cursor": "none"})),
    ("grep: no such ref", READ, 404, lambda w: w.repo.grep(pattern="x", ref="none")),
    ("a stranger reads", READ, 401, lambda w: w.foreign.list_files()),
    ("a stranger commits", RefUpdateError, "unauthorized", lambda w: commit(w.foreign, {"a": "3"})),
    (
        "a stranger merges", ApiError, 401,
        lambda w: w.foreign.merge(source_branch="topic", target_branch="main", strategy="merge", **WITH),
    ),
    ("no repository to read", READ, 404, lambda w: w.missing.list_branches()),
    ("no repository to commit to", RefUpdateError, "not_found", lambda w: commit(w.missing, {"a": "3"})),
    ("no repository to pull", Exception, 404, lambda w: w.missing.pull_upstream()),
    (
        "a policy forbids a commit", RefUpdateError, "forbidden",
        lambda w: commit(w.repo, {"a": "3"}, ref_policies=[{"pattern": "main", "ops": ["no-push"]}]),
    ),
    (
        "a policy forbids a branch", ApiError, 403,
        lambda w: create_branch(w.repo, "main", "new", ref_policies=[{"pattern": "*", "ops": ["no-push"]}]),
    ),
]


async def check(world, rows):
    wrong = []
    for name, kind, status, call in rows:
        try:
            answer = await call(world)
        except Exception as error:
            if not isinstance(error, kind) or not of(error, status):
                wrong.append(f"{name}: {error!r}, not {kind.__name__} {status}")
        else:
            wrong.append(f"{name}: no error but {answer!r}")
    assert not wrong, "\n".join(wrong)
    # Nothing was done.
    listed = {branch["name"]: branch["head_sha"] for branch in (await world.repo.list_branches())["branches"]}
    assert set(listed) == {"main", "topic"} and listed["main"] == world.head


async def test_every_documented_error_of_both_versions(world):
    await check(world, BOTH)


@pytest.mark.sdk1
async def test_every_documented_error_of_the_newer_version(world):
    await check(world, NEWER)
