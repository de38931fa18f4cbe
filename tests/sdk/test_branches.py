"""Branches: list, create, promote, delete, in both namespaces."""

from datetime import datetime

import httpx
import pytest
from conftest import SDK_1, commit, create_branch, read
from pierre_storage import ApiError
from wire import chunk, metadata, send


async def branches(repo, **options):
    return {b["name"]: b["head_sha"] for b in (await repo.list_branches(limit=100, **options))["branches"]}


async def refused(coroutine, *statuses):
    with pytest.raises(ApiError) as error:
        await coroutine
    assert error.value.status_code in statuses, error.value.message
    assert error.value.message and "HTTP" not in error.value.message, "the server's own words are shown"
    return error.value


@pytest.fixture
async def started(repo):
    repo.first = (await commit(repo, {"a": "1"}))["commit_sha"]
    return repo


async def test_an_empty_repository_lists_no_branches(repo):
    page = await repo.list_branches()
    assert (page["branches"], page["has_more"]) == ([], False)


async def test_a_branch_tells_name_head_and_creation(started):
    (branch,) = (await started.list_branches())["branches"]
    assert (branch["name"], branch["head_sha"]) == ("main", started.first)
    assert branch["cursor"]
    assert datetime.fromisoformat(branch["created_at"].replace("Z", "+00:00")).tzinfo


async def test_an_unknown_repository_is_not_found(started):
    started._id += "-nothing"
    with pytest.raises(httpx.HTTPStatusError) as error:
        await started.list_branches()
    assert error.value.response.status_code == 404


async def test_pages_cover_every_branch_once(started):
    names = [f"b{n:02}" for n in range(24)]
    for name in names:
        await create_branch(started, "main", name)
    default = await started.list_branches()
    assert len(default["branches"]) == 20 and default["has_more"]
    for limit in (1, 10, 25, 100):
        seen, cursor = [], None
        while True:
            page = await started.list_branches(limit=limit, cursor=cursor)
            assert len(page["branches"]) <= limit
            seen += [b["name"] for b in page["branches"]]
            if not page["has_more"]:
                break
            assert page["next_cursor"] == page["branches"][-1]["cursor"], "any item's cursor is a place to start"
            cursor = page["next_cursor"]
        assert sorted(seen) == sorted(["main", *names])
        assert len(seen) == len(set(seen))


async def test_a_page_may_start_after_any_branch(started):
    for name in ("one", "two", "three"):
        await create_branch(started, "main", name)
    everything = (await started.list_branches())["branches"]
    for position, branch in enumerate(everything):
        rest = (await started.list_branches(cursor=branch["cursor"]))["branches"]
        assert [b["name"] for b in rest] == [b["name"] for b in everything[position + 1 :]]


async def test_a_bad_cursor_is_refused(started):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await started.list_branches(cursor="\x01 no cursor \x02")
    assert error.value.response.status_code == 400


async def test_create_starts_at_the_base(started):
    result = await create_branch(started, "main", "feature/x")
    assert result["target_branch"] == "feature/x"
    assert result["target_is_ephemeral"] is False
    assert result["commit_sha"] == started.first
    assert result["message"]
    assert (await branches(started))["feature/x"] == started.first


async def test_create_again_is_the_same_branch(started):
    await create_branch(started, "main", "x")
    result = await create_branch(started, "main", "x")
    assert result["commit_sha"] == started.first


async def test_create_moves_a_branch_forward_and_never_back(started):
    await create_branch(started, "main", "release")
    second = await commit(started, {"a": "2"})
    assert (await create_branch(started, "main", "release"))["commit_sha"] == second["commit_sha"]
    own = await commit(started, {"b": "1"}, branch="release")
    await refused(create_branch(started, "main", "release"), 409)
    await commit(started, {"c": "1"})
    await refused(create_branch(started, "main", "release"), 409)
    assert (await branches(started))["release"] == own["commit_sha"]


@pytest.mark.once
def test_create_with_force_moves_a_branch_anywhere(api):
    name = api.create()
    first = send(api, name, metadata("x"), chunk("x", b"1")).json()["commit"]["commit_sha"]
    send(api, name, metadata("x"), chunk("x", b"2"))
    body = {"base_ref": first, "target_branch": "main"}
    assert api("POST", "/repos/branches/create", name, json=body).status_code == 409
    forced = api("POST", "/repos/branches/create", name, json=body | {"force": True})
    assert forced.status_code == 200
    assert forced.json()["commit_sha"] == first


async def test_a_missing_base_is_not_found(started):
    error = await refused(create_branch(started, "nowhere", "x"), 404)
    assert "nowhere" in error.message
    await refused(create_branch(started, "main", "x", base_is_ephemeral=True), 404)
    assert set(await branches(started)) == {"main"}


async def test_an_unknown_repository_cannot_be_branched(started):
    started._id += "-nothing"
    await refused(create_branch(started, "main", "x"), 404)


@pytest.mark.parametrize("name", ["a..b", "a b", "x.lock", "a//b", "a~1", "HEAD^", "a:b", "-x", "a\\b", "end/", "."])
async def test_a_name_that_git_refuses_is_refused(started, name):
    await refused(create_branch(started, "main", name), 400)
    assert set(await branches(started)) == {"main"}


async def test_a_name_above_or_below_a_branch_conflicts(started):
    await create_branch(started, "main", "topic/sub")
    await refused(create_branch(started, "main", "topic"), 409)
    await refused(create_branch(started, "main", "topic/sub/sub"), 409)


@pytest.mark.sdk1
async def test_the_base_may_be_any_revision(started):
    second = (await commit(started, {"a": "2"}))["commit_sha"]
    for base, expected in (
        (started.first, started.first), (started.first[:10], started.first), ("refs/heads/main", second), ("HEAD", second),
    ):  # fmt: skip
        result = await started.create_branch(base_ref=base, target_branch=f"from-{base[:9].replace('/', '-')}")
        assert result["commit_sha"] == expected, base


@pytest.mark.sdk1
async def test_the_deprecated_argument_still_works(started):
    result = await started.create_branch(base_branch="main", target_branch="x")
    assert result["commit_sha"] == started.first


async def test_ephemeral_branches_have_names_of_their_own(started):
    result = await create_branch(started, "main", "preview", target_is_ephemeral=True)
    assert result["target_is_ephemeral"] is True
    assert set(await branches(started)) == {"main"}
    copy = await create_branch(started, "preview", "copy", base_is_ephemeral=True, target_is_ephemeral=True)
    assert copy["commit_sha"] == started.first
    if SDK_1:
        assert set(await branches(started, ephemeral=True)) == {"preview", "copy"}


async def test_promotion_makes_an_ephemeral_branch_persistent(started):
    tip = await commit(started, {"new": "1"}, branch="preview", base_branch="main", ephemeral=True)
    result = await started.promote_ephemeral_branch(base_branch="preview", target_branch="kept")
    assert (result["target_branch"], result["commit_sha"]) == ("kept", tip["commit_sha"])
    assert await read(started, "new", ref="kept") == b"1"


async def test_promotion_keeps_the_name_and_the_ephemeral_branch(started):
    await commit(started, {"new": "1"}, branch="preview", base_branch="main", ephemeral=True)
    result = await started.promote_ephemeral_branch(base_branch="preview")
    assert result["target_branch"] == "preview"
    assert "preview" in await branches(started)
    assert (await started.list_files(ref="preview", ephemeral=True))["paths"] == ["a", "new"]


async def test_promotion_again_follows_the_ephemeral_branch(started):
    await commit(started, {"new": "1"}, branch="p", base_branch="main", ephemeral=True)
    await started.promote_ephemeral_branch(base_branch="p")
    tip = await commit(started, {"new": "2"}, branch="p", ephemeral=True)
    assert (await started.promote_ephemeral_branch(base_branch="p"))["commit_sha"] == tip["commit_sha"]
    await commit(started, {"own": "1"}, branch="p")
    await commit(started, {"new": "3"}, branch="p", ephemeral=True)
    await refused(started.promote_ephemeral_branch(base_branch="p"), 409)


@pytest.mark.sdk1
async def test_delete(started):
    await create_branch(started, "main", "gone")
    result = await started.delete_branch(name="gone")
    assert (result["name"], result["ephemeral"]) == ("gone", False)
    assert result["message"]
    assert set(await branches(started)) == {"main"}
    await refused(started.delete_branch(name="gone"), 404)


@pytest.mark.sdk1
async def test_the_default_branch_cannot_be_deleted(started):
    await refused(started.delete_branch(name="main"), 409)
    assert set(await branches(started)) == {"main"}


@pytest.mark.sdk1
async def test_an_ephemeral_branch_is_deleted_in_its_namespace(started):
    for name in ("main", "other"):
        await create_branch(started, "main", name, target_is_ephemeral=True)
    result = await started.delete_branch(name="main", ephemeral=True)
    assert result["ephemeral"] is True
    assert set(await branches(started, ephemeral=True)) == {"other"}
    assert set(await branches(started)) == {"main"}
    await refused(started.delete_branch(name="other"), 404)


@pytest.mark.sdk1
async def test_a_deleted_branch_can_be_made_again(started):
    await create_branch(started, "main", "x")
    await started.delete_branch(name="x")
    await create_branch(started, "main", "x")
    assert set(await branches(started)) == {"main", "x"}


@pytest.mark.once
@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"name": ""}', b'{"name": 5}', b'{"name": "a..b"}'])
def test_delete_refuses_a_body_that_names_no_branch(api, body):
    name = api.create()
    headers = {"Content-Type": "application/json"}
    assert api("DELETE", "/repos/branches", name, content=body, headers=headers).status_code == 400


@pytest.mark.once
@pytest.mark.parametrize(
    "body", [{}, {"base_ref": "main"}, {"target_branch": "x"}, {"base_ref": 1, "target_branch": "x"},
             {"base_ref": "main", "target_branch": "x", "base_is_ephemeral": "yes"}],
)  # fmt: skip
def test_create_refuses_a_body_that_is_no_request(api, body):
    assert api("POST", "/repos/branches/create", api.create(), json=body).status_code == 400
