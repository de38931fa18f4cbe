"""Stock git against the URLs that the SDKs make: clone, fetch, push, in protocol v0 and v2."""

import os
import subprocess
import uuid

import httpx
import pytest
from conftest import commit, create_branch, read
from binary import clean_environment
from pierre_storage.types import GitFileMode

IDENTITY = {
    "GIT_AUTHOR_NAME": "Grace Hopper", "GIT_AUTHOR_EMAIL": "grace@example.com",
    "GIT_COMMITTER_NAME": "Grace Hopper", "GIT_COMMITTER_EMAIL": "grace@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
}  # fmt: skip


def git(*args, cwd=None, check=True, protocol=2, config=(), input=None):
    """Runs git; the SDK's URLs say https, so plain http needs git's own rewriting."""
    settings = [("url.http://.insteadOf", "https://"), ("protocol.version", str(protocol)), *config]
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    done = subprocess.run(
        ["git", *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=120, input=input,
        env=clean_environment() | IDENTITY | variables,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, f"git {args}: {done.stdout}{done.stderr}"
    return done


class Clone:
    """A working copy."""

    def __init__(self, url, path, *flags, **options):
        self.path, self.options = path, options
        git("clone", "-q", *flags, url, path, **options)

    def git(self, *args, **options):
        return git(*args, cwd=self.path, **(self.options | options))

    def commit(self, name, content, message="From git"):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", name)
        self.git("commit", "-q", "-m", message)
        return self.head()

    def head(self, rev="HEAD"):
        return self.git("rev-parse", rev).stdout.strip()

    def fsck(self):
        self.git("fsck", "--full", "--strict")


@pytest.fixture(params=[0, 2], ids=["v0", "v2"])
def protocol(request):
    return request.param


@pytest.fixture
async def started(repo):
    repo.first = (await commit(repo, {"README.md": "# Hello\n", "src/main.rs": "fn main() {}\n"}))["commit_sha"]
    return repo


async def head(repo, branch="main"):
    page = await repo.list_branches(limit=100)
    return next((b["head_sha"] for b in page["branches"] if b["name"] == branch), None)


async def test_clone_push_fetch(started, tmp_path, protocol):
    url = await started.get_remote_url()
    one = Clone(url, tmp_path / "one", protocol=protocol)
    assert one.head() == started.first
    assert (one.path / "README.md").read_text() == "# Hello\n"
    pushed = one.commit("src/lib.rs", "pub fn f() {}\n")
    one.git("push", "-q", "origin", "main")
    assert await head(started) == pushed
    assert await read(started, "src/lib.rs") == b"pub fn f() {}\n"

    two = Clone(url, tmp_path / "two", protocol=protocol)
    assert two.head() == pushed
    over_api = await commit(started, {"api.txt": "1"}, expected_head_sha=pushed)
    two.git("pull", "-q", "--ff-only")
    assert two.head() == over_api["commit_sha"]
    for clone in (one, two):
        clone.fsck()


async def test_an_empty_repository_is_cloned_and_filled(storage, tmp_path, protocol):
    repo = await storage.create_repo(default_branch="trunk")
    clone = Clone(await repo.get_remote_url(), tmp_path / "c", protocol=protocol)
    if protocol == 2:
        # Only v2 tells a clone which branch HEAD names before it exists.
        assert clone.git("symbolic-ref", "HEAD").stdout.strip() == "refs/heads/trunk"
    else:
        clone.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    first = clone.commit("a", "1")
    clone.git("push", "-q", "origin", "trunk")
    assert await head(repo, "trunk") == first
    assert (await repo.list_files())["ref"] == "trunk"


async def test_the_remote_shows_head_branches_and_peeled_tags(started, tmp_path, protocol):
    url = await started.get_remote_url()
    clone = Clone(url, tmp_path / "c", protocol=protocol)
    clone.git("tag", "light")
    clone.git("tag", "-a", "-m", "annotated", "v1")
    clone.git("push", "-q", "origin", "light", "v1")
    listed = clone.git("ls-remote", "--symref", "origin").stdout.splitlines()
    tag = clone.head("v1")
    assert listed == [
        "ref: refs/heads/main\tHEAD",
        f"{started.first}\tHEAD",
        f"{started.first}\trefs/heads/main",
        f"{started.first}\trefs/tags/light",
        f"{tag}\trefs/tags/v1",
        f"{started.first}\trefs/tags/v1^{{}}",
    ]
    for ref in ("v1", "light", "refs/tags/v1"):
        assert await read(started, "README.md", ref=ref) == b"# Hello\n"
    fresh = Clone(url, tmp_path / "fresh", protocol=protocol)
    assert fresh.head("v1^{commit}") == started.first


async def test_branches_are_made_moved_and_deleted(started, tmp_path, protocol):
    clone = Clone(await started.get_remote_url(), tmp_path / "c", protocol=protocol)
    clone.git("push", "-q", "origin", "HEAD:refs/heads/topic/one", "HEAD:refs/heads/two")
    assert await head(started, "topic/one") == started.first
    tip = clone.commit("x", "1")
    clone.git("push", "-q", "origin", "HEAD:topic/one")
    assert await head(started, "topic/one") == tip
    clone.git("push", "-q", "origin", ":two", "HEAD:three")
    assert await head(started, "two") is None
    assert await head(started, "three") == tip


async def test_a_push_that_is_not_fast_forward_needs_force(started, tmp_path):
    url = await started.get_remote_url()
    clone = Clone(url, tmp_path / "c")
    await commit(started, {"elsewhere": "1"})
    mine = clone.commit("mine", "1")
    assert clone.git("push", "origin", "main", check=False).returncode != 0
    clone.git("push", "-q", "--force", "origin", "main")
    assert await head(started) == mine


async def test_a_lease_that_is_stale_is_refused(started, tmp_path):
    clone = Clone(await started.get_remote_url(), tmp_path / "c")
    moved = await commit(started, {"elsewhere": "1"})
    clone.commit("mine", "1")
    result = clone.git("push", f"--force-with-lease=main:{started.first}", "origin", "main", check=False)
    assert result.returncode != 0
    assert await head(started) == moved["commit_sha"]


async def test_a_large_push_and_its_clone(started, tmp_path, protocol):
    """Past 1 MiB git sends chunked, after a probe, and the server takes the pack road."""
    url = await started.get_remote_url()
    clone = Clone(url, tmp_path / "c", protocol=protocol)
    for number in range(40):
        clone.commit(f"data/{number}.bin", os.urandom(100_000))
    tip = clone.commit("big.txt", "line\n" * 500_000)
    clone.git("push", "-q", "origin", "main")
    assert await head(started) == tip
    fresh = Clone(url, tmp_path / "fresh", protocol=protocol)
    assert fresh.head() == tip
    fresh.fsck()
    assert len((await started.list_commits(limit=100))["commits"]) == 42
    assert await read(started, "data/7.bin") == (clone.path / "data/7.bin").read_bytes()


async def test_fetch_brings_only_what_is_new(started, tmp_path, protocol):
    url = await started.get_remote_url()
    clone = Clone(url, tmp_path / "c", protocol=protocol)
    await commit(started, {"random": os.urandom(300_000)})
    clone.git("pull", "-q")
    await commit(started, {"small": "1"})
    before = sum(p.stat().st_size for p in (clone.path / ".git/objects").rglob("*") if p.is_file())
    clone.git("pull", "-q")
    after = sum(p.stat().st_size for p in (clone.path / ".git/objects").rglob("*") if p.is_file())
    assert after - before < 20_000
    clone.fsck()


async def test_merges_and_criss_cross_history(started, tmp_path, protocol):
    url = await started.get_remote_url()
    clone = Clone(url, tmp_path / "c", protocol=protocol)
    clone.git("checkout", "-q", "-b", "left")
    clone.commit("l", "1")
    clone.git("checkout", "-q", "-b", "right", "main")
    clone.commit("r", "1")
    clone.git("merge", "-q", "-m", "merge left", "left")
    clone.git("checkout", "-q", "left")
    clone.git("merge", "-q", "-m", "merge right", "right~1")
    clone.git("push", "-q", "origin", "left", "right")
    fresh = Clone(url, tmp_path / "fresh", protocol=protocol)
    fresh.fsck()
    log = (await started.list_commits(branch="right"))["commits"]
    assert [c["sha"] for c in log] == clone.git("rev-list", "right").stdout.split()


async def test_the_ephemeral_url_shows_only_ephemeral_branches(started, tmp_path, protocol):
    await commit(started, {"p": "1"}, branch="preview", base_branch="main", ephemeral=True)
    url = await started.get_ephemeral_remote_url()
    assert "+ephemeral.git" in url
    listed = git("ls-remote", url, protocol=protocol).stdout.split()[1::2]
    assert "refs/heads/preview" in listed and "refs/heads/main" not in listed
    clone = Clone(url, tmp_path / "c", "-b", "preview", protocol=protocol)
    tip = clone.commit("q", "2")
    clone.git("push", "-q", "origin", "preview", "HEAD:other")
    assert (await started.list_files(ref="preview", ephemeral=True))["paths"] == ["README.md", "p", "q", "src/main.rs"]
    assert await head(started, "preview") is None
    ordinary = git("ls-remote", await started.get_remote_url(), protocol=protocol).stdout
    assert "preview" not in ordinary and "ephemeral" not in ordinary
    # Promotion as the guide describes it: fetch from one, push to the other.
    both = Clone(await started.get_remote_url(), tmp_path / "both", protocol=protocol)
    both.git("fetch", "-q", url, "preview")
    both.git("push", "-q", "origin", "FETCH_HEAD:refs/heads/promoted")
    assert await head(started, "promoted") == tip


@pytest.mark.sdk1
async def test_the_import_url_takes_a_push(storage, tmp_path):
    repo = await storage.create_repo()
    git("init", "-q", "-b", "main", tmp_path / "old")
    for number in range(3):
        (tmp_path / "old" / "f").write_text(str(number))
        git("add", "f", cwd=tmp_path / "old")
        git("commit", "-q", "-m", str(number), cwd=tmp_path / "old")
    git("push", "-q", "--mirror", await repo.get_import_remote_url(), cwd=tmp_path / "old")
    assert len((await repo.list_commits())["commits"]) == 3


async def test_the_organisation_may_stand_in_the_path(started, server, org, tmp_path):
    token = org.token(started.id)
    clone = Clone(f"{server.url.replace('://', f'://t:{token}@')}/{org.name}/{started.id}.git", tmp_path / "c")
    assert clone.head() == started.first
    other = git("ls-remote", f"{server.url.replace('://', f'://t:{token}@')}/other/{started.id}.git", check=False)
    assert other.returncode != 0


async def test_git_is_challenged_and_then_believed(started, server):
    with httpx.Client() as plain:
        info = f"{server.url}/{started.id}.git/info/refs?service=git-upload-pack"
        refused = plain.get(info)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        token = (await started.get_remote_url()).split("@")[0].split(":")[-1]
        answered = plain.get(info, auth=("anyone", token))
        assert answered.status_code == 200
        assert answered.headers["content-type"] == "application/x-git-upload-pack-advertisement"
        assert "no-cache" in answered.headers["cache-control"]
        assert answered.content.startswith(b"001e# service=git-upload-pack\n0000")
        assert plain.get(info, headers={"Authorization": f"Bearer {token}"}).status_code == 200


async def test_a_person_sees_why_git_was_refused(started, tmp_path, client):
    read_only = await started.get_remote_url(permissions=["git:read"])
    clone = Clone(read_only, tmp_path / "c")
    clone.commit("x", "1")
    result = clone.git("push", "origin", "main", check=False)
    assert result.returncode != 0 and "403" in result.stderr
    no_scope = git("ls-remote", await started.get_remote_url(permissions=["repo:write"]), check=False)
    assert no_scope.returncode != 0 and "403" in no_scope.stderr
    expired = git("ls-remote", await started.get_remote_url(ttl=-60), check=False)
    assert expired.returncode != 0 and "Authentication failed" in expired.stderr
    url = await started.get_remote_url()
    elsewhere = git("ls-remote", url.replace(started.id, "another"), check=False)
    assert elsewhere.returncode != 0 and ("403" in elsewhere.stderr or "not found" in elsewhere.stderr)
    missing = await client().create_repo(id=f"gone/{uuid.uuid4().hex}")
    missing._id += "-nothing"
    absent = git("ls-remote", await missing.get_remote_url(), check=False)
    assert absent.returncode != 0 and "not found" in absent.stderr


@pytest.mark.once
async def test_paths_that_are_no_repository(server, org):
    token = org.token("x")
    with httpx.Client(auth=("t", token)) as plain:
        for path in ("/", "/x", "/x.git", "/x.git/HEAD", "/x.git/objects/info/packs", "/../x.git/info/refs", "/.git/info/refs"):
            assert plain.get(server.url + path).status_code == 404, path


@pytest.mark.once
async def test_git_without_smart_http_and_other_services_are_refused(started, server, org):
    with httpx.Client(auth=("t", org.token(started.id))) as plain:
        for path in ("info/refs", "info/refs?service=git-upload-archive", "HEAD", "objects/info/packs"):
            assert plain.get(f"{server.url}/{started.id}.git/{path}").status_code in (400, 403, 404), path


async def test_a_symlink_a_mode_and_a_submodule_travel(started, tmp_path):
    builder = started.create_commit(target_branch="main", commit_message="kinds", author={"name": "a", "email": "a@b"})
    await (
        builder.add_file("run.sh", b"#!/bin/sh\n", mode=GitFileMode.EXECUTABLE)
        .add_file("link", b"README.md", mode=GitFileMode.SYMLINK)
        .add_file("vendor", b"1234567890123456789012345678901234567890", mode=GitFileMode.SUBMODULE)
        .send()
    )
    clone = Clone(await started.get_remote_url(), tmp_path / "c")
    assert os.readlink(clone.path / "link") == "README.md"
    assert os.access(clone.path / "run.sh", os.X_OK)
    tree = clone.git("ls-tree", "HEAD").stdout
    assert "160000 commit 1234567890123456789012345678901234567890\tvendor" in tree
    clone.fsck()


async def test_many_refs(started, tmp_path, protocol):
    clone = Clone(await started.get_remote_url(), tmp_path / "c", protocol=protocol)
    refs = "".join(f"create refs/heads/many/{n:03} {started.first}\n" for n in range(500))
    clone.git("update-ref", "--stdin", input=refs)
    clone.git("push", "-q", "origin", "refs/heads/many/*:refs/heads/many/*")
    assert len(git("ls-remote", "--heads", await started.get_remote_url(), protocol=protocol).stdout.splitlines()) == 501
    only = git("ls-remote", await started.get_remote_url(), "refs/heads/many/007", protocol=protocol).stdout
    assert only.split() == [started.first, "refs/heads/many/007"]


async def test_names_that_git_would_refuse_are_refused(started, tmp_path):
    clone = Clone(await started.get_remote_url(), tmp_path / "c")
    clone.commit("x", "1")
    before = git("ls-remote", await started.get_remote_url()).stdout
    for bad in ("refs/namespaces/ephemeral/refs/heads/sneaky", "refs/heads/a..b", "refs/heads/x.lock"):
        assert clone.git("push", "origin", f"HEAD:{bad}", check=False).returncode != 0, bad
    assert git("ls-remote", await started.get_remote_url()).stdout == before
    ephemeral = await started.get_ephemeral_remote_url()
    assert git("ls-remote", ephemeral).stdout == ""


async def test_a_tree_with_a_dot_git_entry_is_refused(started, tmp_path):
    clone = Clone(await started.get_remote_url(), tmp_path / "c")
    blob = clone.git("hash-object", "-w", "--stdin", input="evil").stdout.strip()
    for name in (".git", "..", ".GIT", "git~1"):
        raw = b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob)
        path = clone.path / "tree"
        path.write_bytes(raw)
        tree = clone.git("hash-object", "-t", "tree", "-w", "--literally", "tree").stdout.strip()
        made = clone.git("commit-tree", tree, "-m", "evil").stdout.strip()
        result = clone.git("push", "origin", f"{made}:refs/heads/evil", check=False)
        assert result.returncode != 0, name
    assert await head(started, "evil") is None


async def test_created_branches_are_cloned(started, tmp_path):
    await create_branch(started, "main", "topic")
    clone = Clone(await started.get_remote_url(), tmp_path / "c", "-b", "topic")
    assert clone.head() == started.first
