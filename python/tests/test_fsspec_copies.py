"""Copies in an fsspec file system, and files that must be new."""

import fsspec
import pytest

from packhouse.store import FileType


@pytest.fixture
def disk(store, files):
    return fsspec.filesystem("packhouse", repo=store.path, ref="main", skip_instance_cache=True)


def test_a_copy_is_what_the_source_is(disk, store, files):
    for source, kind in [
        ("a.txt", FileType.BLOB),
        ("run.sh", FileType.EXECUTABLE),
        ("link", FileType.LINK),
    ]:
        disk.cp_file(source, f"copies/{source}")
        fs = store.branches["main"]
        assert fs.file_type(f"copies/{source}") is kind
        assert fs.object_hash(f"copies/{source}") == files.object_hash(source)
    disk.copy("run.sh", "again")
    assert store.branches["main"].file_type("again") is FileType.EXECUTABLE
    # What was there gives way, a copy to itself is none, a directory is copied with its files.
    disk.cp_file("run.sh", "a.txt")
    assert store.branches["main"].file_type("a.txt") is FileType.EXECUTABLE
    before = store.branches["main"].commit_hash
    disk.cp_file("a.txt", "a.txt")
    disk.cp_file("dir", "elsewhere")
    assert store.branches["main"].commit_hash == before
    with pytest.raises(FileNotFoundError):
        disk.cp_file("nope", "x")
    disk.copy("copies", "all", recursive=True)
    assert store.branches["main"].file_type("all/link") is FileType.LINK


def test_a_new_file_is_still_new_when_it_is_closed(disk, store):
    file = disk.open("new", "xb")
    file.write(b"mine")
    store.branches["main"].write("new", b"theirs")
    before = store.branches["main"].commit_hash
    with pytest.raises(FileExistsError):
        file.close()
    fs = store.branches["main"]
    assert fs.commit_hash == before and fs.read("new") == b"theirs"
    with disk.open("other", "x", encoding="utf-8") as text:
        text.write("one")
    assert disk.cat("other") == b"one"


def test_a_new_file_of_a_transaction_is_still_new_in_the_end(disk, store):
    with pytest.raises(FileExistsError):
        with disk.transaction:
            with disk.open("new", "xb") as file:
                file.write(b"mine")
            store.branches["main"].write("new", b"theirs")
    assert store.branches["main"].read("new") == b"theirs"
