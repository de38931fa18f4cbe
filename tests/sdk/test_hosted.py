"""What packhouse.hosted has beyond the SDK whose calls it takes: cancelling, streams, iterators, newer calls."""

import ast
import asyncio
import contextlib
import gc
import inspect
import os
import re
import subprocess
import sys
import time
import weakref

import pytest
from binary import ROOT
from conftest import OURS, commit, create_branch, private_pem, read
from pierre_storage import ApiError, GitStorage, RefUpdateError
from wire import AUTHOR

pytestmark = pytest.mark.skipif(not OURS, reason="packhouse.hosted alone")

MIB = 1 << 20
SECONDS = 20


def builder(repo, **options):
    return repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR, **options)


async def test_nothing_of_the_vendor_is_installed():
    import pierre_storage

    assert "packhouse" in pierre_storage.GitStorage.__module__
    with pytest.raises(Exception, match="pierre-storage"):
        from importlib import metadata

        metadata.distribution("pierre-storage")


async def test_calls_run_beside_each_other_and_the_loop(repo):
    await commit(repo, {"a": "1"})
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    pages = await asyncio.gather(*(repo.list_branches() for _ in range(50)))
    ticking.cancel()
    assert all(page["branches"][0]["name"] == "main" for page in pages)
    assert ticks > 50


async def test_a_cancelled_upload_commits_nothing_and_lets_go_of_its_source(repo):
    begun, closed = asyncio.Event(), False

    async def endless():
        nonlocal closed
        try:
            while True:
                yield bytes(MIB)
                begun.set()
        finally:
            closed = True

    sending = asyncio.create_task(builder(repo).add_file("big", endless()).send())
    await asyncio.wait_for(begun.wait(), SECONDS)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert closed
    await asyncio.sleep(0.1)
    assert (await repo.list_branches())["branches"] == []
    await commit(repo, {"a": "1"})


async def test_a_cancelled_read_ends_its_request(repo):
    await commit(repo, {"big": os.urandom(16 * MIB)})
    response = await repo.get_file_stream(path="big")
    pieces = response.aiter_bytes()
    assert await pieces.__anext__()
    waiting = asyncio.create_task(pieces.__anext__())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # The piece may be lost: what comes after it is not to be taken for the file.
    with pytest.raises(RuntimeError, match="closed"):
        await response.aread()
    assert await asyncio.wait_for(repo.list_files(), SECONDS)


async def test_a_download_is_not_held_in_memory(repo):
    content = os.urandom(MIB) * 48
    await commit(repo, {"big": content})

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    most, size = 0, 0
    async with await repo.get_file_stream(path="big") as response:
        async for piece in response:
            size += len(piece)
            most = max(most, resident())
    assert size == len(content)
    assert most - before < 24 * MIB


async def test_an_upload_is_not_held_in_memory(repo):
    piece = os.urandom(MIB)
    alive = weakref.WeakSet()

    class Piece(bytes):
        pass

    most = 0

    async def pieces():
        nonlocal most
        for _ in range(24):
            made = Piece(piece)
            yield made
            del made
            gc.collect(0)
            most = max(most, sum(1 for one in gc.get_objects() if type(one) is Piece))

    await builder(repo).add_file("big", pieces()).send()
    assert most <= 8 and not alive
    assert await read(repo, "big") == piece * 24


@pytest.mark.parametrize("kind", ["generator", "file", "memoryview", "str", "iterator of bytearrays"])
async def test_every_kind_of_source(repo, kind, tmp_path):
    content = bytes(range(256)) * 40_000
    (tmp_path / "f").write_bytes(content)

    def pieces():
        for start in range(0, len(content), 100_001):
            yield content[start : start + 100_001]

    with open(tmp_path / "f", "rb") as file:
        source, expected = {
            "generator": (pieces(), content),
            "file": (file, content),
            "memoryview": (memoryview(content), content),
            "str": ("grün", "grün".encode()),
            "iterator of bytearrays": (iter([bytearray(b"a"), bytearray(b"b")]), b"ab"),
        }[kind]
        await builder(repo).add_file("f", source).send()
    assert await read(repo, "f") == expected


async def test_a_source_that_fails_is_what_is_raised(repo):
    async def pieces():
        yield b"x"
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await builder(repo).add_file("f", pieces()).send()
    with pytest.raises(TypeError, match="not of int"):
        await builder(repo).add_file("f", [1, 2]).send()
    with pytest.raises(TypeError, match="not NoneType"):
        builder(repo).add_file("f", None)
    assert (await repo.list_branches())["branches"] == []


async def test_a_builder_sends_once(repo):
    started = builder(repo).add_file("a", b"1")
    await started.send()
    for call in (lambda: started.add_file("b", b"2"), lambda: started.delete_path("a")):
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(RuntimeError):
        await started.send()


async def test_iterators_go_through_every_page(repo, storage):
    made = [(await commit(repo, {f"f{number}": "x\n"}))["commit_sha"] for number in range(5)]
    for name in ("one", "two"):
        await create_branch(repo, "main", name)
        await repo.create_tag(name=name, target=made[0])
    assert [one["sha"] async for one in repo.iter_commits(limit=2)] == made[::-1]
    assert [one["name"] async for one in repo.iter_branches(limit=1)] == ["main", "one", "two"]
    assert [one["name"] async for one in repo.iter_tags(limit=1)] == ["one", "two"]
    assert [one["path"] async for one in repo.iter_files(limit=2)] == [f"f{number}" for number in range(5)]
    assert [one["path"] async for one in repo.iter_grep(pattern="x", limit=2)] == [f"f{number}" for number in range(5)]
    assert repo.id in [one["repo_id"] async for one in storage.iter_repos(limit=1, q=repo.id[:12])]


async def test_text_and_lines_of_a_file(repo):
    await commit(repo, {"f": "ä\nb\r\n\nc"})
    assert [line async for line in (await repo.get_file_stream(path="f")).aiter_lines()] == ["ä", "b", "", "c"]
    response = await repo.get_file_stream(path="f")
    assert [len(piece) async for piece in response.aiter_bytes(3)] == [3, 3, 2]
    response = await repo.get_file_stream(path="f")
    assert (await response.aread()).decode() == response.text == "ä\nb\r\n\nc"
    assert await response.aread() == response.content


async def test_cherry_pick_and_revert(repo):
    await commit(repo, {"a": "1\n"})
    await commit(repo, {"b": "1\n"}, branch="topic", base_branch="main")
    picked = await repo.cherry_pick(target_branch="main", commit="topic", record_origin=True)
    assert picked["result"] == "committed" and await read(repo, "b") == b"1\n"
    undone = await repo.revert(target_branch="main", commit=picked["commit_sha"], author=AUTHOR)
    assert undone["target"]["old_sha"] == picked["commit_sha"]
    assert (await repo.list_files())["paths"] == ["a"]
    with pytest.raises(ValueError, match="a commit or a range"):
        await repo.cherry_pick(target_branch="main")


async def test_a_branch_and_a_tag_alone(repo):
    sha = (await commit(repo, {"a": "1"}))["commit_sha"]
    await repo.create_tag(name="v1", target=sha)
    assert (await repo.get_branch(name="main"))["head_sha"] == sha
    assert (await repo.get_tag(name="v1"))["sha"] == sha
    with pytest.raises(ApiError) as error:
        await repo.get_branch(name="nothing")
    assert (error.value.status_code, error.value.code) == (404, "ref_not_found")


async def test_webhooks_and_events(repo, storage):
    made = await repo.webhooks.create(url="http://127.0.0.1:1/hook", events=["*"])
    assert made["secret"]
    assert [one["id"] for one in (await repo.webhooks.list())["webhooks"]] == [made["id"]]
    async with repo.events(after="0") as events, storage.events() as every:
        waiting = asyncio.create_task(every.__anext__())
        sha = (await commit(repo, {"a": "1"}))["commit_sha"]

        async def pushed():
            async for event in events:
                if event["type"] == "push":
                    return event

        event = await asyncio.wait_for(pushed(), SECONDS)
        assert event["data"]["after"] == sha and event["data"]["repository"]["id"] == repo.id
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    until = time.monotonic() + SECONDS
    while not (found := (await repo.webhooks.deliveries(id=made["id"]))["deliveries"]):
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    assert found[0]["state"] == "retrying"
    assert (await repo.webhooks.redeliver(id=made["id"], delivery=found[0]["id"]))["id"] == found[0]["id"]
    await repo.webhooks.replay(id=made["id"], after="0")
    await repo.webhooks.delete(id=made["id"])
    with pytest.raises(ApiError) as error:
        await repo.webhooks.get(id=made["id"])
    assert error.value.code == "webhook_not_found"
    assert (await storage.webhooks.list())["webhooks"] == []


async def test_no_event_is_lost_by_giving_up_the_wait_for_it(repo):
    seen = []
    async with repo.events(after="0") as events:

        async def all_of_them():
            while len(seen) < 31:
                with contextlib.suppress(asyncio.TimeoutError):
                    seen.append(await asyncio.wait_for(events.__anext__(), 0.002))

        reading = asyncio.create_task(all_of_them())
        for number in range(30):
            await commit(repo, {"a": str(number)})
        await asyncio.wait_for(reading, SECONDS)
    befores = [event["data"]["before"] for event in seen[1:]]
    assert befores == ["0" * 40] + [event["data"]["after"] for event in seen[1:-1]]


async def test_snapshots_jobs_and_upstreams(repo, storage):
    await commit(repo, {"a": "1"})
    await commit(repo, {"b": "2"})
    snapshot = await storage.create_repo(
        base_repo={"id": repo.id, "operation": "snapshot"}, initial_commit={"message": "All of it", "author": AUTHOR}
    )
    (only,) = (await snapshot.list_commits())["commits"]
    assert (only["message"], only["parent_shas"]) == ("All of it", [])
    assert (await snapshot.list_jobs())["jobs"] == [] and "jobs" in await storage.list_jobs()
    with pytest.raises(ApiError, match="Pull Upstream failed: 400"):
        await snapshot.pull_upstream()
    with pytest.raises(ApiError) as error:
        await snapshot.detach_upstream()
    assert error.value.status_code == 400


async def test_the_audit_log(repo, storage):
    made = await commit(repo, {"a": "1"})
    kinds = [entry["kind"] async for entry in repo.iter_audit(limit=1)]
    assert len(kinds) >= 2 and len(kinds) == len((await storage.list_audit(repo=repo.id))["entries"])
    newest = (await repo.list_audit(limit=1))["entries"][0]
    assert (newest["target"], newest["after"]) == ("refs/heads/main", made["commit_sha"])
    assert [entry["id"] async for entry in storage.iter_audit(repo=repo.id, kind=newest["kind"])] == [newest["id"]]


async def test_errors_are_httpx_errors_too_where_it_is_imported(repo):
    import httpx

    with pytest.raises(httpx.HTTPStatusError) as error:
        await repo.list_files()
    assert isinstance(error.value, ApiError)
    assert error.value.response.headers["X-Request-Id"]
    assert error.value.response.json()["code"] == error.value.code == "ref_not_found"


async def test_a_server_that_is_not_there(org, repo):
    options = {"name": org.name, "key": private_pem(org.keys["ES256"]), "attempts": 1}
    storage = GitStorage({**options, "api_base_url": "http://127.0.0.1:1", "storage_base_url": "127.0.0.1:1"})
    with pytest.raises(ConnectionError, match="127.0.0.1:1"):
        await storage.find_one(id="x")
    with pytest.raises(ConnectionError):
        await builder(storage.repo(id="x")).add_file("a", b"1").send()


async def test_a_refusal_has_the_answer_behind_it(repo):
    await commit(repo, {"a": "1"})
    with pytest.raises(RefUpdateError) as error:
        await builder(repo, expected_head_sha="1" * 40).add_file("a", b"2").send()
    assert error.value.code == "head_moved"
    assert error.value.response.status_code == 409


async def test_each_event_loop_and_thread_may_call(repo):
    await commit(repo, {"a": "1"})
    found = await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(repo.list_files())) for _ in range(4)))
    assert all(page["paths"] == ["a"] for page in found)


def test_a_forked_process_is_told(server, org, tmp_path):
    """Instead of waiting for threads that it does not have."""
    key = tmp_path / "key.pem"
    key.write_text(private_pem(org.keys["ES256"]))
    code = f"""
import asyncio, os
from pierre_storage import GitStorage
storage = GitStorage({{"name": {org.name!r}, "key": open({str(key)!r}).read(), "api_base_url": {server.url!r}}})
asyncio.run(storage.find_one(id="x"))
child = os.fork()
if child == 0:
    try:
        asyncio.run(storage.find_one(id="x"))
    except RuntimeError as error:
        os._exit(7 if "forked" in str(error) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "7", done.stderr


async def test_the_guide_runs_as_it_stands(server, org, tmp_path, monkeypatch):
    """docs/guide/src/hosted.md, host names and the endless loop aside."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.pem").write_text(private_pem(org.keys["ES256"]))
    (tmp_path / "video.mp4").write_bytes(os.urandom(5 * MIB))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guide/src/hosted.md").read_text(), re.DOTALL)
    said = []
    names = {"author": AUTHOR, "print": lambda *words: said.append(words)}
    for block in blocks:
        code = block.replace('"acme"', repr(org.name)).replace("https://git.example.com", server.url)
        code = code.replace('"git.example.com"', repr(server.host)).replace("team/site", f"guide/{os.getpid()}")
        code = re.sub(r"( +)print\(event.*", r"\g<0>\n\1break", code)
        result = eval(compile(code, "guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.isawaitable(result):
            await asyncio.wait_for(result, SECONDS)
    assert len(blocks) == 2
    assert said[0][2] == "First page" and said[1][1] == "repo.created"
