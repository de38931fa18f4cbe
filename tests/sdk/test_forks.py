"""Forks, as the SDK makes them."""

import uuid

import pytest
from conftest import commit
from pierre_storage import ApiError

pytestmark = pytest.mark.sdk1


def fresh():
    return f"fork-{uuid.uuid4().hex}"


async def heads(repo):
    return {branch["name"]: branch["head_sha"] for branch in (await repo.list_branches())["branches"]}


async def test_a_fork_has_what_its_source_has_and_is_independent(storage):
    source = await storage.create_repo(id=fresh())
    first = await commit(source, {"a": "1"})
    fork = await storage.create_repo(id=fresh(), base_repo={"id": source.id})
    assert await heads(fork) == {"main": first["commit_sha"]}
    await commit(fork, {"b": "2"})
    assert (await source.list_files())["paths"] == ["a"]
    assert (await fork.list_files())["paths"] == ["a", "b"]
    await storage.delete_repo(id=source.id)
    assert (await fork.list_files())["paths"] == ["a", "b"]


async def test_a_fork_begins_at_a_ref_or_a_commit(storage):
    source = await storage.create_repo(id=fresh())
    first = await commit(source, {"a": "1"})
    second = await commit(source, {"b": "2"})
    await source.create_branch(base_ref=first["commit_sha"], target_branch="old")
    at_ref = await storage.create_repo(id=fresh(), base_repo={"id": source.id, "ref": "old"})
    assert await heads(at_ref) == {"main": first["commit_sha"]}
    at_sha = await storage.create_repo(
        id=fresh(), base_repo={"id": source.id, "ref": "old", "sha": second["commit_sha"]}, default_branch="trunk"
    )
    assert await heads(at_sha) == {"trunk": second["commit_sha"]}
    assert (await storage.find_one(id=at_sha.id)).default_branch == "trunk"


async def test_what_is_not_there_cannot_be_forked(storage):
    name = fresh()
    with pytest.raises(ApiError) as refused:
        await storage.create_repo(id=name, base_repo={"id": fresh()})
    assert refused.value.status_code == 404
    source = await storage.create_repo(id=fresh())
    with pytest.raises(ApiError) as refused:
        await storage.create_repo(id=name, base_repo={"id": source.id, "ref": "no-such"})
    assert refused.value.status_code == 404
    assert await storage.find_one(id=name) is None
