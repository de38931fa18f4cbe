"""Tags: list, create, delete."""

import pytest
from conftest import commit
from pierre_storage import ApiError

pytestmark = pytest.mark.sdk1


async def refused(coroutine, status):
    with pytest.raises(ApiError) as error:
        await coroutine
    assert error.value.status_code == status, error.value.message
    return error.value


@pytest.fixture
async def started(repo):
    repo.first = (await commit(repo, {"a": "1"}))["commit_sha"]
    return repo


async def test_a_tag_from_creation_to_deletion(started):
    assert (await started.list_tags())["tags"] == []
    made = await started.create_tag(name="v1.0.0", target=started.first)
    assert (made["name"], made["sha"]) == ("v1.0.0", started.first) and made["message"]
    (tag,) = (await started.list_tags())["tags"]
    assert (tag["name"], tag["sha"]) == ("v1.0.0", started.first) and tag["cursor"]
    assert (await started.get_commit(sha="v1.0.0"))["commit"]["sha"] == started.first
    gone = await started.delete_tag(name="v1.0.0")
    assert gone["name"] == "v1.0.0" and gone["message"]
    assert (await started.list_tags())["tags"] == []


async def test_pages_cover_every_tag_once(started):
    names = [f"v{number:02}" for number in range(23)]
    for name in names:
        await started.create_tag(name=name, target=started.first)
    assert len((await started.list_tags())["tags"]) == 20
    seen, cursor = [], None
    while True:
        page = await started.list_tags(limit=7, cursor=cursor)
        seen += [tag["name"] for tag in page["tags"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    assert seen == names


async def test_what_cannot_be_done_is_refused(started):
    await started.create_tag(name="v1", target=started.first)
    await refused(started.create_tag(name="v1", target=started.first), 409)
    await refused(started.create_tag(name="v2", target="0" * 39 + "1"), 404)
    await refused(started.create_tag(name="v2", target="main"), 400)
    await refused(started.delete_tag(name="v2"), 404)
    policies = [{"pattern": "refs/tags/*", "ops": ["no-push"]}]
    await refused(started.delete_tag(name="v1", ref_policies=policies), 403)
