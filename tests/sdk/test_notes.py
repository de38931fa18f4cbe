"""Notes: read, add, append, delete, and the refs that hold them."""

import httpx
import pytest
from conftest import commit
from pierre_storage import ApiError, RefUpdateError

pytestmark = pytest.mark.sdk1


async def refused(coroutine, status):
    with pytest.raises(RefUpdateError) as error:
        await coroutine
    assert error.value.status == status
    return error.value


async def status_of(coroutine):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await coroutine
    return error.value.response.status_code


@pytest.fixture
async def started(repo):
    repo.first = (await commit(repo, {"a": "1"}))["commit_sha"]
    return repo


async def test_a_note_from_creation_to_deletion(started):
    sha = started.first
    made = await started.create_note(sha=sha, note="reviewed", author={"name": "Nora", "email": "nora@example.com"})
    assert made["result"] == {"success": True, "status": "ok"}
    assert (made["sha"], made["target_ref"]) == (sha, "refs/notes/commits") and "base_commit" not in made
    more = await started.append_note(sha=sha, note="and tested")
    assert more["base_commit"] == made["new_ref_sha"]
    found = await started.get_note(sha=sha)
    assert found == {"sha": sha, "note": "reviewed\n\nand tested", "ref_sha": more["new_ref_sha"]}
    gone = await started.delete_note(sha=sha, expected_ref_sha=more["new_ref_sha"])
    assert gone["result"]["success"] and gone["base_commit"] == more["new_ref_sha"]
    assert await status_of(started.get_note(sha=sha)) == 404


async def test_what_the_notes_refuse_says_where_their_ref_is(started):
    made = await started.create_note(sha=started.first, note="one")
    error = await refused(started.create_note(sha=started.first, note="two"), "conflict")
    assert error.ref_update["old_sha"] == made["new_ref_sha"]
    error = await refused(
        started.append_note(sha=started.first, note="two", expected_ref_sha=started.first), "precondition_failed"
    )
    assert error.ref_update["branch"] == "refs/notes/commits"
    await refused(started.create_note(sha="1" * 40, note="of nothing"), "not_found")
    await refused(started.delete_note(sha=started.first, ref="other"), "not_found")
    policies = [{"pattern": "refs/notes/*", "ops": ["no-push"]}]
    await refused(started.append_note(sha=started.first, note="x", ref_policies=policies), "forbidden")
    with pytest.raises(ApiError) as error:
        await started.create_note(sha=started.first, note="x", ref="refs/heads/main")
    assert error.value.status_code == 400


async def test_notes_refs_of_ones_own(started):
    for name in ("reviews", "refs/notes/builds", "reviews-old"):
        await started.create_note(sha=started.first, note=name, ref=name)
    assert (await started.get_note(sha=started.first, ref="reviews"))["note"] == "reviews"
    page = await started.list_notes_refs(limit=2)
    assert [one["ref"] for one in page["refs"]] == ["refs/notes/builds", "refs/notes/reviews"]
    assert page["prefix"] == "refs/notes/" and page["has_more"]
    rest = await started.list_notes_refs(cursor=page["next_cursor"])
    assert [one["ref"] for one in rest["refs"]] == ["refs/notes/reviews-old"]
    some = await started.list_notes_refs(prefix="reviews")
    assert len(some["refs"]) == 2 and some["prefix"] == "refs/notes/reviews"
