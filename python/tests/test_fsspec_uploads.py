"""Files written through an fsspec file system: compressed, as text, left by an exception, in a transaction."""

import bz2
import gc
import gzip
import io
import lzma
import zipfile

import fsspec
import pytest

from packhouse.store import FileType, StaleSnapshotError


@pytest.fixture
def disk(store, files):
    return fsspec.filesystem("packhouse", repo=store.path, ref="main", skip_instance_cache=True)


def unzip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(archive.namelist()[0])


@pytest.mark.parametrize(
    "compression, unpack",
    [
        ("gzip", gzip.decompress),
        ("bz2", bz2.decompress),
        ("xz", lzma.decompress),
        ("zip", unzip),
    ],
)
def test_compressed_files(disk, store, compression, unpack):
    with disk.open("bytes", "wb", compression=compression) as file:
        assert file.write(b"content") == 7
    with disk.open("text", "w", compression=compression, encoding="utf-16") as file:
        file.write("grün")
    with fsspec.open("packhouse://url", "w", compression=compression, repo=store.path) as file:
        file.write("url")
    fs = store.branches["main"]
    assert unpack(fs.read("bytes")) == b"content"
    assert unpack(fs.read("text")).decode("utf-16") == "grün"
    assert unpack(fs.read("url")) == b"url"
    with disk.open("bytes", "rb", compression=compression) as file:
        assert file.read() == b"content"


def test_the_compression_is_that_of_the_name(disk):
    with disk.open("a.gz", "wt", compression="infer") as file:
        file.write("content")
    assert gzip.decompress(disk.cat("a.gz")) == b"content"
    with pytest.raises(ValueError):
        disk.open("a.gz", "wb", compression="nonsense")


def writers(disk, path):
    url, options = f"packhouse://new{disk.ukey('a.txt')}", {"repo": path, "ref": "main"}
    yield disk.open("new", "w")
    yield disk.open("new", "wb")
    yield disk.open("new", "w", compression="gzip")
    yield disk.open("new", "wb", compression="zip")
    yield fsspec.open(url, "w", **options)
    yield fsspec.open(url, "wb", **options)
    yield fsspec.open(url, "w", compression="bz2", **options)


def test_an_exception_in_the_block_is_no_commit(disk, store):
    before = store.branches["main"].commit_hash
    for writer in writers(disk, store.path):
        with pytest.raises(LookupError):
            with writer as file:
                file.write("half" if isinstance(file, io.TextIOBase) else b"half")
                raise LookupError
        assert store.branches["main"].commit_hash == before


def test_a_file_written_while_an_exception_is_handled_is_committed(disk, store):
    try:
        raise LookupError
    except LookupError:
        with fsspec.open("packhouse://one", "w", repo=store.path) as file:
            file.write("1")
        with disk.open("two", "w") as file:
            file.write("2")
        file = disk.open("three", "wb")
        file.write(b"3")
        file.close()
    assert disk.cat(["one", "two", "three"]) == {"one": b"1", "two": b"2", "three": b"3"}


def test_a_forgotten_file_is_no_commit(disk, store):
    before = store.branches["main"].commit_hash
    for options in ({}, {"compression": "gzip"}, {"compression": "zip"}):
        disk.open("new", "w", **options).write("half")
        disk.open("new", "wb", **options).write(b"half")
    gc.collect()
    assert store.branches["main"].commit_hash == before


def test_a_transaction_is_one_commit(disk, store):
    before = store.branches["main"]
    with disk.transaction:
        disk.pipe({"p1": b"1", "p2": b"2"})
        disk.put_file(__file__, "put")
        with disk.open("text", "w", compression="gzip") as file:
            file.write("text")
        with pytest.raises(LookupError):
            with disk.open("half", "w") as file:
                file.write("half")
                raise LookupError
        still_open = disk.open("open", "w")
        still_open.write("all of it")
        assert store.branches["main"].commit_hash == before.commit_hash
    still_open.close()
    fs = store.branches["main"]
    assert fs.back(1).commit_hash == before.commit_hash
    assert sorted(set(fs.ls()) - set(before.ls())) == ["open", "p1", "p2", "put", "text"]
    assert disk.cat("open") == b"all of it" and gzip.decompress(disk.cat("text")) == b"text"


@pytest.mark.parametrize("failure", [FileExistsError, StaleSnapshotError])
def test_a_transaction_that_fails_is_no_commit_and_the_next_write_is_one(
    disk, store, failure, monkeypatch
):
    with pytest.raises(failure):
        with disk.transaction:
            disk.pipe("t1", b"1")
            with disk.open("new", "xb") as file:
                file.write(b"mine")
            if failure is FileExistsError:
                store.branches["main"].write("new", b"theirs")
            else:

                def refuse(action):
                    raise StaleSnapshotError

                monkeypatch.setattr(disk, "_write", refuse)
            before = store.branches["main"].commit_hash
    assert store.branches["main"].commit_hash == before
    monkeypatch.undo()
    disk.pipe("after", b"1")
    assert disk.cat("after") == b"1" and not disk.exists("t1")
    with disk.transaction:
        disk.pipe("again", b"1")
    assert disk.cat("again") == b"1"


def test_transactions_are_not_nested(disk):
    with pytest.raises(RuntimeError):
        with disk.transaction:
            disk.pipe("outer", b"1")
            with disk.transaction:
                pass
    assert not disk.exists("outer")
    disk.start_transaction()
    disk.pipe("t", b"1")
    assert not disk.exists("t")
    disk.end_transaction()
    assert disk.cat("t") == b"1"


def test_a_transaction_that_only_reads_needs_nothing_to_write_to(disk, store):
    disk.pipe("a", b"1")
    before = store.branches["main"].commit_hash
    for options in ({"readonly": True}, {"ref": before}, {}):
        reader = fsspec.filesystem(
            "packhouse", repo=store.path, **{"ref": "main", **options}, skip_instance_cache=True
        )
        with reader.transaction:
            assert reader.cat("a") == b"1"
    with pytest.raises(LookupError):
        with reader.transaction:
            with reader.open("half", "wb") as file:
                raise LookupError
    assert store.branches["main"].commit_hash == before


def test_put_keeps_whether_a_file_can_be_run(disk, store, tmp_path):
    local = tmp_path / "run"
    local.write_bytes(b"#!/bin/sh\n")
    local.chmod(0o755)
    disk.put_file(str(local), "run")
    with disk.transaction:
        disk.put_file(str(local), "later")
    for path in ("run", "later"):
        assert store.branches["main"].file_type(path) is FileType.EXECUTABLE
    with pytest.raises(FileExistsError):
        disk.put_file(str(local), "run", mode="create")
