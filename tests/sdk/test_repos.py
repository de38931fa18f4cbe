"""Repositories: create, find, list, delete."""

import uuid
from datetime import datetime

import pytest
from conftest import commit, new_key, private_pem, public_pem
from pierre_storage import ApiError


def fresh(prefix="r"):
    return f"{prefix}-{uuid.uuid4().hex}"


async def test_create_names_the_repository_as_asked(storage):
    name = fresh()
    assert (await storage.create_repo(id=name)).id == name


async def test_create_makes_up_a_name(storage):
    repo = await storage.create_repo()
    assert await storage.find_one(id=repo.id)


async def test_a_name_may_hold_slashes(storage):
    name = f"team/{fresh()}/project"
    await storage.create_repo(id=name)
    assert (await storage.find_one(id=name)).id == name


async def test_creating_twice_conflicts(storage):
    name = fresh()
    await storage.create_repo(id=name)
    with pytest.raises(ApiError) as refused:
        await storage.create_repo(id=name)
    assert refused.value.status_code == 409


async def test_find_one_answers_none_for_what_is_not_there(storage):
    assert await storage.find_one(id=fresh()) is None


@pytest.mark.sdk1
async def test_find_one_tells_default_branch_and_creation(storage):
    name = fresh()
    await storage.create_repo(id=name, default_branch="trunk")
    found = await storage.find_one(id=name)
    assert found.default_branch == "trunk"
    assert datetime.fromisoformat(found.created_at.replace("Z", "+00:00")).year >= 2024


async def test_the_default_branch_is_what_reads_use(storage):
    repo = await storage.create_repo(id=fresh(), default_branch="trunk")
    await commit(repo, {"a": "1"}, branch="trunk")
    assert (await repo.list_files())["ref"] == "trunk"
    assert len((await repo.list_commits())["commits"]) == 1


@pytest.mark.parametrize("branch", ["", "a..b", "with space", "-dash", "a/", "x.lock", "refs/heads/main~1"])
async def test_a_default_branch_that_git_refuses_is_refused(storage, branch):
    with pytest.raises(ApiError) as refused:
        await storage.create_repo(id=fresh(), default_branch=branch)
    assert refused.value.status_code == 400


@pytest.mark.parametrize("name", ["../up", "a/../b", "a//b", "/a", "a/", ".", "a\x00b", "a b/../c", "x" * 5000])
async def test_a_name_that_is_no_path_is_refused(storage, name):
    with pytest.raises(ApiError) as refused:
        await storage.create_repo(id=name)
    assert refused.value.status_code == 400
    assert await storage.find_one(id=name) is None if "\x00" not in name and len(name) < 100 else True


async def test_github_without_an_app_is_refused_and_nothing_is_made(storage):
    name = fresh()
    with pytest.raises(ApiError) as refused:
        await storage.create_repo(id=name, base_repo={"owner": "octocat", "name": "Hello-World"})
    assert refused.value.status_code == 412
    assert await storage.find_one(id=name) is None


@pytest.mark.once
def test_create_answers_201_with_its_url(api):
    name = fresh()
    response = api("POST", "/repos", name, scopes=["repo:write"], json={"default_branch": "main"})
    assert response.status_code == 201
    body = response.json()
    assert body["repo_id"] == name
    assert body["http_url"].endswith(f"/{name}.git")


@pytest.mark.once
@pytest.mark.parametrize("content", [b"", b"{}"])
def test_create_needs_no_default_branch(api, content):
    name = fresh()
    headers = {"Content-Type": "application/json"}
    assert api("POST", "/repos", name, scopes=["repo:write"], content=content, headers=headers).status_code == 201
    assert api("GET", "/repo", name).json()["default_branch"] == "main"


@pytest.mark.once
@pytest.mark.parametrize("content", [b"{", b"7", b'{"default_branch": 7}', b"\xff\xfe"])
def test_create_refuses_a_body_that_is_no_request(api, content):
    headers = {"Content-Type": "application/json"}
    response = api("POST", "/repos", fresh(), scopes=["repo:write"], content=content, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"] == response.json()["message"]


@pytest.mark.sdk1
async def test_list_repos_pages_through_all_by_name(client, server, tmp_path):
    storage = client()
    tag = uuid.uuid4().hex[:10]
    names = sorted(f"list-{tag}/{n}" for n in range(7))
    for name in reversed(names):
        await storage.create_repo(id=name)
    seen, cursor, pages = [], None, 0
    while True:
        page = await storage.list_repos(q=f"LIST-{tag}".upper(), limit=3, cursor=cursor)
        seen += [repo["repo_id"] for repo in page["repos"]]
        pages += 1
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    assert (seen, pages) == (names, 3)
    assert {repo["url"] for repo in page["repos"]} == {names[-1]}


@pytest.mark.sdk1
async def test_list_repos_finds_nothing_for_a_text_in_no_name(storage):
    page = await storage.list_repos(q=fresh("nothing"))
    assert page == {"repos": [], "next_cursor": None, "has_more": False}


@pytest.mark.once
@pytest.mark.parametrize("query", ["q=%25", "q=_"])
def test_list_takes_the_text_literally(api, query):
    """`%` and `_` mean something to SQL and nothing to a caller."""
    api("POST", "/repos", fresh("literal"), scopes=["repo:write"], json={})
    page = api("GET", f"/repos?{query}", "org", scopes=["org:read"]).json()
    text = "%" if "%25" in query else "_"
    assert all(text in repo["repo_id"] for repo in page["repos"])


@pytest.mark.once
@pytest.mark.parametrize("query", ["limit=-1", "limit=many"])
def test_list_refuses_a_bad_limit(api, query):
    assert api("GET", f"/repos?{query}", "org", scopes=["org:read"]).status_code == 400


@pytest.mark.sdk1
async def test_delete_hides_the_repository(storage):
    repo = await storage.create_repo(id=fresh())
    await commit(repo, {"a": "1"})
    result = await storage.delete_repo(id=repo.id)
    assert result["repo_id"] == repo.id
    assert result["message"]
    assert await storage.find_one(id=repo.id) is None
    with pytest.raises(Exception) as gone:
        await repo.list_files()
    assert gone.value.response.status_code == 404
    assert (await storage.list_repos(q=repo.id))["repos"] == []


@pytest.mark.sdk1
async def test_deleting_twice_conflicts_and_what_never_was_is_not_found(storage):
    repo = await storage.create_repo(id=fresh())
    await storage.delete_repo(id=repo.id)
    for name, status in ((repo.id, 409), (fresh(), 404)):
        with pytest.raises(ApiError) as refused:
            await storage.delete_repo(id=name)
        assert refused.value.status_code == status


@pytest.mark.sdk1
async def test_a_deleted_name_starts_empty_when_it_is_taken_again(storage):
    repo = await storage.create_repo(id=fresh())
    await commit(repo, {"secret": "1"})
    await storage.delete_repo(id=repo.id)
    again = await storage.create_repo(id=repo.id)
    assert (await again.list_branches())["branches"] == []


async def test_two_organisations_do_not_see_each_other(client, server, org, tmp_path):
    key, other = new_key("ES256"), f"other-{uuid.uuid4().hex[:8]}"
    (tmp_path / "k.pem").write_text(public_pem(key))
    server.admin("admin", "org", "create", other, "--public-key", tmp_path / "k.pem")
    name = fresh()
    mine, theirs = client(), client(name=other, key=private_pem(key))
    repo = await mine.create_repo(id=name)
    await commit(repo, {"a": "mine"})
    assert await theirs.find_one(id=name) is None
    same_name = await theirs.create_repo(id=name)
    assert (await same_name.list_branches())["branches"] == []
