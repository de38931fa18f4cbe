"""Writing through file objects."""

import csv
import io
import json

import pytest

from packhouse.store import FileType


def test_closing_commits_once(store, fs):
    file = fs.writer("a.txt")
    file.write(b"one ")
    file.write(bytearray(b"two "))
    assert file.write(memoryview(b"three")) == 5
    assert file.fs is None and store.branches["main"].commit_hash == fs.commit_hash
    file.close()
    assert file.closed and file.fs.read("a.txt") == b"one two three"
    new = file.fs
    file.close()
    assert file.fs is new and store.branches["main"].commit_hash == new.commit_hash
    assert new.message == "Write a.txt"


@pytest.mark.parametrize("opener", ["writer", "open"])
def test_in_a_with_block(fs, opener):
    with getattr(fs, opener)("out.bin", "wb") as file:
        file.write(b"some data")
    assert file.fs.read("out.bin") == b"some data" and not fs.exists("out.bin")


def test_text(fs):
    with fs.writer("t.txt", "w") as file:
        assert file.write("grün\n") == 5
        file.writelines(["a\n", "b\n"])
        with pytest.raises(TypeError, match="expected str"):
            file.write(b"bytes")
    assert file.fs.read_text("t.txt") == "grün\na\nb\n"


def test_bytes_only(fs):
    with fs.writer("b") as file:
        with pytest.raises(TypeError, match="expected bytes"):
            file.write("text")
        with pytest.raises(TypeError, match="expected bytes"):
            file.write(5)


def test_an_exception_discards_the_file(store, fs):
    with pytest.raises(RuntimeError):
        with fs.writer("a") as file:
            file.write(b"data")
            raise RuntimeError("stop")
    assert file.closed and file.fs is None
    assert store.branches["main"].commit_hash == fs.commit_hash


def test_a_forgotten_writer_commits_nothing(store, fs):
    fs.writer("a").write(b"x")
    assert store.branches["main"].commit_hash == fs.commit_hash


def test_it_behaves_like_a_file(fs):
    file = fs.writer("a")
    assert file.writable() and not file.readable() and not file.seekable()
    assert not file.closed and file.tell() == 0 and file.mode == "wb"
    file.write(b"abc")
    file.flush()
    assert file.tell() == 3
    file.close()
    with pytest.raises(ValueError, match="I/O operation on closed file"):
        file.write(b"more")


@pytest.mark.parametrize("mode", ["r", "rb", "a", "x", "wb+", ""])
def test_other_modes_are_refused(fs, mode):
    with pytest.raises(ValueError):
        fs.writer("a", mode)
    with fs.batch() as batch, pytest.raises(ValueError):
        batch.writer("a", mode)


def test_libraries_write_to_it(fs):
    with fs.writer("t.csv", "w") as file:
        csv.writer(file).writerow(["a", "b"])
    with file.fs.writer("t.json", "w") as file:
        json.dump({"a": 1}, file)
    with file.fs.writer("wrapped") as file:
        io.TextIOWrapper(file, encoding="utf-16", write_through=True).write("x")
    assert file.fs.read("t.csv") == b"a,b\r\n" and json.loads(file.fs.read("t.json")) == {"a": 1}


def test_a_large_file_streams(fs):
    piece = bytes(range(256)) * 4096
    with fs.writer("large") as file:
        for _ in range(8):
            file.write(piece)
    assert file.fs.size("large") == 8 << 20
    assert file.fs.read("large", offset=(1 << 20) - 1, size=2) == b"\xff\x00"


def test_a_writer_keeps_the_type_plain(fs):
    fs = fs.write("x", b"1", mode=FileType.EXECUTABLE)
    with fs.writer("x") as file:
        file.write(b"2")
    assert file.fs.file_type("x") is FileType.BLOB


def test_a_stale_writer_says_so(fs):
    from packhouse.store import StaleSnapshotError

    file = fs.writer("a")
    file.write(b"1")
    fs.write("b", b"2")
    with pytest.raises(StaleSnapshotError):
        file.close()
    assert file.fs is None
