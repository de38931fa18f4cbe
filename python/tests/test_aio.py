"""The same calls as coroutines."""

import asyncio
import functools
import threading
import time
from unittest.mock import patch

import pytest

import packhouse.store
from packhouse.store import FS as SyncFS
from packhouse.store import StaleSnapshotError, aio


def coroutine_test(test):
    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


@coroutine_test
async def test_open_write_and_read(path):
    store = await aio.GitStore.open(path, create="main", author="alice")
    fs = await store.branches["main"]
    assert fs.message == "Initialize main" and store.signature.name == "alice"
    fs = await fs.write("a.txt", b"alpha", message="one")
    assert isinstance(fs, aio.FS) and fs.message == "one" and fs.writable and fs.branch == "main"
    assert await fs.read("a.txt") == b"alpha" and await fs.read_text("a.txt") == "alpha"
    assert await fs.read("a.txt", offset=1, size=2) == b"lp"
    assert await fs.ls() == ["a.txt"] and await fs.exists("a.txt") and not await fs.is_dir("a.txt")
    assert (await fs.stat("a.txt")).size == 5 and await fs.size("a.txt") == 5
    assert await fs.write("a.txt", b"alpha") is fs
    assert (await fs.parent).message == "Initialize main" and await (await fs.parent).parent is None
    assert fs.changes.total == 1
    with pytest.raises(FileNotFoundError):
        await fs.read("nope")
    with pytest.raises(FileNotFoundError):
        await aio.GitStore.open(path.parent / "nope.git")


@coroutine_test
async def test_parents_may_be_any_iterable(path):
    store = await aio.GitStore.open(path, create="main")
    dev = await store.branches.set("dev", await store.branches["main"])
    dev = await dev.write("x", b"x")
    main = await store.branches["main"]
    for number, parents in enumerate(([dev], (dev,), (parent for parent in [dev]))):
        main = await main.write("a.txt", str(number).encode(), parents=parents)
    assert [snapshot.message async for snapshot in main.log()] == ["Write a.txt"] * 3 + ["Initialize main"]
    again = await aio.retry_write(store, "main", "a.txt", b"again", message="retried")
    assert isinstance(again, aio.FS) and again.message == "retried" and again.store is store


@coroutine_test
async def test_refs(path):
    store = await aio.GitStore.open(path, create="main")
    fs = await store.branches["main"]
    dev = await store.branches.set("dev", fs)
    assert dev.ref_name == "dev" and await store.branches.contains("dev")
    assert sorted([name async for name in store.branches]) == ["dev", "main"]
    assert sorted(await store.branches.keys()) == ["dev", "main"] and await store.branches.count() == 2
    assert {name: fs.ref_name async for name, fs in store.branches.items()} == {"dev": "dev", "main": "main"}
    await store.branches.delete("dev")
    assert await store.branches.get("dev") is None and await store.branches.get("dev", 5) == 5
    assert await store.branches.current_name == "main"
    assert (await store.branches.current).commit_hash == fs.commit_hash
    await store.tags.set("v1", fs)
    assert not (await store.tags["v1"]).writable and (await store.fs("v1")).ref_name == "v1"
    with pytest.raises(KeyError):
        await store.branches["nope"]
    with pytest.raises(KeyError):
        await store.branches.set_current("nope")
    await fs.write("a", b"1")
    assert [line.message for line in await store.branches.reflog("main")] == ["commit: Write a"]
    with pytest.raises(TypeError):
        await store.branches.set("x", "main")


@coroutine_test
async def test_a_store_without_branches_gets_one(path):
    store = await aio.GitStore.open(path, create=True)
    fs = await store.branches.set_empty("trunk")
    assert isinstance(fs, aio.FS) and fs.branch == "trunk" and fs.message == "Initialize trunk"
    assert await store.branches.current_name == "trunk" and await fs.ls() == []


@coroutine_test
async def test_batches_and_files(path):
    store = await aio.GitStore.open(path, create="main")
    fs = await store.branches["main"]
    async with fs.batch("all") as batch:
        await batch.write("a", b"1")
        async with batch.writer("w", "w") as file:
            await file.write("text")
        assert batch.fs is None
    assert batch.fs.message == "all" and await batch.fs.ls() == ["a", "w"]
    batch = await batch.fs.batch()
    assert await batch.commit() is batch.fs
    fs = batch.fs
    with pytest.raises(LookupError):
        async with fs.batch() as batch:
            await batch.write("b", b"1")
            raise LookupError
    assert batch.fs is None and batch.closed
    async with fs.open("f", "wb") as file:
        assert await file.write(b"one") == 3
        await file.write(b"two")
    fs = file.fs
    async with fs.open("f") as file:
        assert await file.read(2) == b"on" and await file.tell() == 2
        await file.seek(0)
        assert await file.read() == b"onetwo"
    assert file.closed
    file = await fs.open("f", "r")
    assert await file.readline() == "onetwo"
    await file.close()
    with pytest.raises(LookupError):
        async with fs.writer("g") as file:
            await file.write(b"x")
            raise LookupError
    assert file.fs is None and not await fs.exists("g")
    async with fs.writer("lines", "w") as file:
        await file.writelines(["one\n", "two\n"])
        await file.flush()
        assert await file.tell() == 8
    async with file.fs.open("lines", "r") as lines:
        assert [line async for line in lines] == ["one\n", "two\n"]
    async with file.fs.open("lines") as lines:
        assert await lines.readline() == b"one\n" and await lines.readlines() == [b"two\n"]


@coroutine_test
async def test_iterations(path):
    store = await aio.GitStore.open(path, create="main", durability="relaxed")
    fs = await store.branches["main"]
    fs = await fs.apply({f"d{n}/f{n}": b"x" for n in range(20)})
    for number in range(10):
        fs = await fs.write("n", b"%d" % number, message=str(number))
    assert [directory async for directory, _, _ in fs.walk()][:2] == ["", "d0"]
    assert len([path async for path in fs.iglob("**/f*")]) == 20
    assert [entry.message async for entry in fs.log("n")] == [str(n) for n in reversed(range(10))]
    async for entry in fs.log():
        assert isinstance(entry, aio.FS) and entry.message == "9"
        break
    with pytest.raises(FileNotFoundError):
        async for _ in fs.walk("nope"):
            pass
    fs = await fs.undo(2)
    assert fs.message == "7" and (await fs.redo()).message == "9"


@coroutine_test
async def test_bulk_operations(path, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_text("1")
    store = await aio.GitStore.open(path, create="main")
    fs = await store.branches["main"]
    seen = []
    fs = await fs.copy_in(f"{tmp_path}/in/", "d", progress=lambda *step: seen.append(step))
    assert seen and fs.changes.total == 1
    assert await fs.copy_out("d", tmp_path / "out") is fs
    assert (tmp_path / "out/d/a").read_text() == "1"
    side = await store.branches.set("side", fs)
    side = await side.move("d/a", "d/b")
    fs = await fs.copy_from_ref(side, "d", delete=True)
    assert await fs.ls("d") == ["b"]
    fs = await fs.write("e", b"1", parents=[side])
    assert (await store.backup(tmp_path / "backup.git")).total == 2
    assert await store.pack() > 0 and await store.gc() >= 0
    await store.notes.commits.set(fs, "note")
    assert await store.notes.commits[fs] == "note"
    async with store.notes.commits.batch() as batch:
        await batch.delete(fs)
    assert await store.notes.commits.keys() == []


@coroutine_test
async def test_the_loop_goes_on_meanwhile(path, tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(192 << 20)
    store = await aio.GitStore.open(path, create="main")
    fs = await store.branches["main"]
    writing = asyncio.ensure_future(fs.write_from_file("large", large))
    ticks = 0
    while not writing.done():
        await asyncio.sleep(0.002)
        ticks += 1
    assert ticks >= 10 and await (await writing).size("large") == 192 << 20


@coroutine_test
async def test_many_at_once(path):
    store = await aio.GitStore.open(path, create="main", durability="relaxed")
    await asyncio.gather(
        *(aio.retry_write(store, "main", f"f{n}", b"%d" % n, retries=50) for n in range(40))
    )
    fs = await store.branches["main"]
    assert await asyncio.gather(*(fs.read(f"f{n}") for n in range(40))) == [b"%d" % n for n in range(40)]
    with pytest.raises(StaleSnapshotError):
        await (await fs.parent).write("x", b"1")


@coroutine_test
async def test_a_cancelled_write_has_ended_when_the_caller_hears_of_it(path):
    store = await aio.GitStore.open(path, create="main")
    fs = await store.branches["main"]
    original, begun, ended = SyncFS.write, threading.Event(), []

    def slow(self, *args, **kwargs):
        begun.set()
        time.sleep(0.2)
        new = original(self, *args, **kwargs)
        ended.append(new.commit_hash)
        return new

    with patch.object(SyncFS, "write", slow):
        writing = asyncio.ensure_future(fs.write("a", b"1"))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert len(ended) == 1 and (await store.branches["main"]).commit_hash == ended[0]


@coroutine_test
async def test_a_cancelled_read_is_given_up_at_once(path):
    store = await aio.GitStore.open(path, create="main")
    fs = await store.branches["main"]
    released = threading.Event()
    with patch.object(SyncFS, "read", lambda self, path: released.wait(30)):
        reading = asyncio.ensure_future(fs.read("a"))
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        released.set()


# What has another name there, since a coroutine cannot have this form.
NAMED_OTHERWISE = {"__setitem__": "set", "__delitem__": "delete", "__contains__": "contains", "__len__": "count"}
# What a mapping has by itself, and cannot do in one step.
OF_MAPPINGS = {"clear", "popitem", "setdefault", "update"}


def test_every_call_is_there():
    classes = [name for name in packhouse.store.__all__ if isinstance(getattr(packhouse.store, name), type)]
    functions = set(packhouse.store.__all__) - set(classes)
    assert functions <= set(aio.__all__)
    for name in set(classes) & set(aio.__all__) - {"GitError", "StaleSnapshotError"}:
        sync, ours = getattr(packhouse.store, name), getattr(aio, name)
        wanted = {member for member in dir(sync) if not member.startswith("_")} - OF_MAPPINGS
        wanted |= {other for member, other in NAMED_OTHERWISE.items() if member in dir(sync)}
        assert wanted <= set(dir(ours)), name
        for member in wanted:
            assert getattr(ours, member).__doc__, f"{name}.{member}"
    assert {"FS", "Batch", "GitStore", "RefDict", "NoteDict", "NoteNamespace", "NotesBatch"} <= set(aio.__all__)


@coroutine_test
async def test_mappings_and_functions(path, tmp_path):
    store = await aio.GitStore.open(path, create="main")
    fs = await (await store.branches["main"]).write("a", b"1")
    await store.branches.set("dev", fs)
    assert [snapshot.commit_hash async for snapshot in store.branches.values()] == [fs.commit_hash] * 2
    popped = await store.branches.pop("dev")
    assert isinstance(popped, aio.FS) and popped.ref_name == "dev"
    assert await store.branches.pop("dev", None) is None
    with pytest.raises(KeyError):
        await store.branches.pop("dev")
    notes = store.notes.commits
    await notes.set(fs, "one")
    assert await notes.count() == 1
    assert [item async for item in notes.items()] == [(fs.commit_hash, "one")]
    assert [text async for text in notes.values()] == ["one"]
    assert await notes.pop(fs) == "one" and await notes.pop(fs, None) is None
    seen = []
    await aio.bundle_export(store, tmp_path / "x.bundle", refs=["main"], progress=lambda *step: seen.append(step))
    copy = await aio.GitStore.open(tmp_path / "copy.git", create=True)
    await aio.bundle_import(copy, tmp_path / "x.bundle")
    assert (await copy.branches["main"]).commit_hash == fs.commit_hash and seen
    assert await aio.disk_glob(tmp_path / "*.bundle") == [str(tmp_path / "x.bundle")]
    assert await aio.resolve_credentials("http://example.com/x") == "http://example.com/x"
