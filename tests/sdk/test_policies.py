"""Ref policies: the `refs` and `ops` claims, over the API and over git."""

import pytest
from conftest import SDK_1, commit
from pierre_storage import ApiError, RefUpdateError
from test_git import Clone
from wire import chunk, metadata, send

pytestmark = pytest.mark.skipif(not SDK_1, reason="0.6.1 has no ref policies")


def rules(*pairs):
    return [{"pattern": pattern, "ops": list(ops)} for pattern, ops in pairs]


async def commit_with(repo, policies, branch="main", files=None, **options):
    builder = repo.create_commit(
        target_branch=branch, commit_message="m", author={"name": "a", "email": "a@b"}, ref_policies=policies, **options
    )
    for path, text in (files or {"x": "1"}).items():
        builder = builder.add_file_from_string(path, text)
    return await builder.send()


@pytest.fixture
async def started(repo):
    await commit(repo, {"a": "1"})
    await repo.create_branch(base_ref="main", target_branch="side")
    return repo


async def test_no_push_refuses_a_commit(started):
    with pytest.raises(RefUpdateError) as error:
        await commit_with(started, rules(("main", ["no-push"])))
    assert error.value.status == "forbidden"
    assert "denied by policy" in error.value.message
    assert (await started.list_files())["paths"] == ["a"]
    await commit_with(started, rules(("main", ["no-push"])), branch="side")


async def test_the_first_matching_rule_decides(started):
    policies = rules(("refs/heads/agents/*", []), ("*", ["no-push"]))
    await commit_with(started, policies, branch="agents/one", base_branch="main")
    with pytest.raises(RefUpdateError):
        await commit_with(started, policies, branch="side")
    everything = rules(("*", []), ("main", ["no-push"]))
    await commit_with(started, everything)


async def test_ephemeral_refs_match_by_their_full_name(started):
    policies = rules(("refs/namespaces/ephemeral/refs/heads/*", ["no-push"]))
    with pytest.raises(RefUpdateError):
        await commit_with(started, policies, branch="e", base_branch="main", ephemeral=True)
    await commit_with(started, policies, branch="e", base_branch="main")


async def test_no_push_refuses_branches_to_be_made_moved_and_deleted(started):
    policies = rules(("*", ["no-push"]))
    for call in (
        started.create_branch(base_ref="main", target_branch="new", ref_policies=policies),
        started.delete_branch(name="side", ref_policies=policies),
    ):
        with pytest.raises(ApiError) as error:
            await call
        assert error.value.status_code == 403
        assert "denied by policy" in error.value.message
    names = {b["name"] for b in (await started.list_branches())["branches"]}
    assert names == {"main", "side"}


async def test_no_force_push_lets_a_branch_move_forward(started):
    policies = rules(("*", ["no-force-push"]))
    await commit_with(started, policies)
    await started.create_branch(base_ref="main", target_branch="side", ref_policies=policies)


async def test_an_unknown_operation_refuses_rather_than_allows(started):
    with pytest.raises(RefUpdateError):
        await commit_with(started, rules(("main", ["no-such-operation"])))


async def test_git_push_obeys_no_push(started, tmp_path):
    url = await started.get_remote_url(ref_policies=rules(("main", ["no-push"])))
    clone = Clone(url, tmp_path / "c")
    clone.commit("b", "2")
    result = clone.git("push", "origin", "main", check=False)
    assert result.returncode != 0
    assert "denied by policy" in result.stderr
    clone.git("push", "origin", "main:elsewhere")


async def test_git_push_obeys_no_force_push(started, tmp_path):
    url = await started.get_remote_url(ref_policies=rules(("*", ["no-force-push"])))
    clone = Clone(url, tmp_path / "c")
    clone.commit("b", "2")
    clone.git("push", "origin", "main")
    clone.git("reset", "-q", "--hard", "HEAD~1")
    clone.commit("c", "3")
    result = clone.git("push", "--force", "origin", "main", check=False)
    assert result.returncode != 0
    assert "denied by policy" in result.stderr
    clone.git("push", "origin", "HEAD:refs/heads/new")


async def test_one_denied_ref_does_not_stop_the_others_unless_atomic(started, tmp_path):
    url = await started.get_remote_url(ref_policies=rules(("main", ["no-push"])))
    clone = Clone(url, tmp_path / "c")
    clone.commit("b", "2")
    atomic = clone.git("push", "--atomic", "origin", "HEAD:main", "HEAD:one", check=False)
    assert atomic.returncode != 0
    names = {b["name"] for b in (await started.list_branches())["branches"]}
    assert "one" not in names
    plain = clone.git("push", "origin", "HEAD:main", "HEAD:one", check=False)
    assert plain.returncode != 0
    names = {b["name"] for b in (await started.list_branches())["branches"]}
    assert "one" in names


async def test_the_older_claim_covers_every_ref(started, tmp_path):
    url = await started.get_remote_url(ops=["no-push"])
    clone = Clone(url, tmp_path / "c")
    clone.commit("b", "2")
    result = clone.git("push", "origin", "HEAD:new", check=False)
    assert result.returncode != 0
    assert "denied by policy" in result.stderr


async def test_the_older_claim_on_the_api(started, api):
    token = api.org.token(started.id, ["git:write"], ops=["no-push"])
    response = send(api, started.id, metadata("x"), chunk("x", b"1"), token=token)
    assert response.status_code == 403
    assert "denied by policy" in response.json()["error"]


@pytest.mark.parametrize("refs", ["main", [["main"]], [["main", "no-push"]], [[1, []]], {"main": []}], ids=str)
async def test_a_malformed_policy_is_no_policy_to_ignore(started, api, refs):
    token = api.org.token(started.id, ["git:write"], refs=refs)
    assert send(api, started.id, metadata("x"), chunk("x", b"1"), token=token).status_code == 401
