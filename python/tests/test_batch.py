"""Several changes as one commit."""

import os

import pytest

from packhouse.store import Batch, FileType, StaleSnapshotError


def test_one_commit_at_the_end(store, fs):
    with fs.batch(message="all") as batch:
        assert isinstance(batch, Batch)
        batch.write("a.txt", b"alpha")
        batch.write_text("b.txt", "bravo", mode=FileType.EXECUTABLE)
        batch.write_symlink("l", "a.txt")
        assert batch.fs is None
    new = batch.fs
    assert new.message == "all" and new.parent.commit_hash == fs.commit_hash
    assert new.ls() == ["a.txt", "b.txt", "l"]
    assert new.file_type("b.txt") is FileType.EXECUTABLE and new.readlink("l") == "a.txt"
    assert store.branches["main"].commit_hash == new.commit_hash
    assert [entry.path for entry in new.changes.add] == ["a.txt", "b.txt", "l"]


def test_from_files_and_writers(fs, tmp_path):
    (tmp_path / "f").write_bytes(b"file")
    with fs.batch() as batch:
        batch.write_from_file("f", tmp_path / "f")
        with batch.writer("w") as file:
            file.write(b"one")
            file.write(b"two")
        with batch.open("o", "w") as file:
            file.write("text")
        with pytest.raises(RuntimeError):
            with batch.writer("discarded") as file:
                file.write(b"x")
                raise RuntimeError
        assert file.fs is None
    assert batch.fs.ls() == ["f", "o", "w"] and batch.fs.read("w") == b"onetwo"


def test_the_last_operation_on_a_path_wins(fs):
    fs = fs.write("old", b"1")
    with fs.batch() as batch:
        batch.write("a", b"1")
        batch.write("a", b"2")
        batch.write("b", b"1")
        batch.remove("b")
        batch.remove("old")
        batch.write("old", b"again")
    assert batch.fs.ls() == ["a", "old"]
    assert batch.fs.read("a") == b"2" and batch.fs.read("old") == b"again"


def test_remove(fs):
    fs = fs.write("dir/a", b"1").write("b", b"2")
    with fs.batch() as batch:
        with pytest.raises(FileNotFoundError):
            batch.remove("nope")
        with pytest.raises(IsADirectoryError):
            batch.remove("dir")
        batch.remove("b")
    assert batch.fs.ls() == ["dir"]


def test_an_empty_batch_is_no_commit(fs):
    with fs.batch() as batch:
        pass
    assert batch.fs is fs
    with fs.batch() as batch:
        batch.write("a", b"1")
        batch.remove("a")
    assert batch.fs is fs


def test_an_exception_commits_nothing(store, fs):
    with pytest.raises(RuntimeError, match="abort"):
        with fs.batch() as batch:
            batch.write("a", b"1")
            raise RuntimeError("abort")
    assert batch.fs is None and batch.closed
    assert store.branches["main"].commit_hash == fs.commit_hash
    with pytest.raises(RuntimeError, match="Batch is closed"):
        batch.write("a", b"1")


def test_a_closed_batch_does_nothing_more(fs, tmp_path):
    (tmp_path / "f").write_bytes(b"file")
    batch = fs.batch()
    batch.write("a", b"1")
    assert batch.commit() is batch.fs
    for attempt in (
        lambda: batch.write("b", b"1"),
        lambda: batch.write_text("b", "1"),
        lambda: batch.write_from_file("b", tmp_path / "f"),
        lambda: batch.write_symlink("b", "a"),
        lambda: batch.remove("a"),
        lambda: batch.writer("b"),
        lambda: batch.open("b", "wb"),
        lambda: batch.commit(),
    ):
        with pytest.raises(RuntimeError, match="Batch is closed"):
            attempt()


def test_commit_inside_the_block(fs):
    with fs.batch() as batch:
        batch.write("a", b"1")
        new = batch.commit()
    assert batch.fs is new and new.read("a") == b"1"


def test_a_failed_commit_leaves_the_batch_open(store, fs):
    batch = fs.batch()
    batch.write("a", b"1")
    fs.write("b", b"2")
    for _ in range(2):
        with pytest.raises(StaleSnapshotError):
            batch.commit()
        assert batch.fs is None and not batch.closed


def test_read_only_snapshots_have_no_batch(tag):
    with pytest.raises(PermissionError, match="Cannot batch on read-only snapshot"):
        tag.batch()


def test_bad_arguments(fs):
    with fs.batch() as batch:
        with pytest.raises(TypeError):
            batch.write("a", "text")
        with pytest.raises(ValueError):
            batch.write("a//b", b"1")
        with pytest.raises(ValueError):
            batch.write("", b"1")


def test_operation_and_parents(store, fs, git):
    side = store.branches.set("side", fs).write("s", b"1")
    with fs.batch(operation="import", parents=[side]) as batch:
        batch.write("a", b"1")
        batch.write("b", b"1")
    assert batch.fs.message.startswith("Batch import: ")
    assert side.commit_hash in git("rev-list", "--parents", "-1", "main")


def test_a_large_batch(fs, git):
    pieces = [os.urandom(100_000) for _ in range(60)]
    with fs.batch() as batch:
        for number, piece in enumerate(pieces):
            batch.write(f"f{number}", piece)
    assert all(batch.fs.read(f"f{number}") == piece for number, piece in enumerate(pieces))
    assert len(git("ls-tree", "main").split("\n")) == 60


def test_the_last_write_wins_between_a_file_and_a_folder_of_its_name(fs):
    fs = fs.write("d/old", b"0")
    with fs.batch() as batch:
        batch.write("d/x", b"1")
        batch.write("d", b"2")
    assert batch.fs.ls(recursive=True) == ["d"]
    fs = batch.fs.write("d/old", b"0")
    with fs.batch() as batch:
        batch.write("d", b"1")
        batch.write("d/x", b"2")
        with pytest.raises(FileNotFoundError):
            batch.remove("d/old")
    assert batch.fs.ls(recursive=True) == ["d/x"]
    assert [entry.path for entry in batch.fs.changes.delete] == ["d/old"]
