"""Stores as an fsspec file system."""

import errno

import fsspec
import pytest

from packhouse.fsspec import PackhouseFileSystem


@pytest.fixture
def disk(store, files):
    return fsspec.filesystem("packhouse", repo=store.path, ref="main", skip_instance_cache=True)


def test_the_protocol_is_registered(disk):
    assert fsspec.get_filesystem_class("packhouse") is PackhouseFileSystem
    assert isinstance(disk, PackhouseFileSystem)


def test_listing(disk, files):
    assert disk.ls("", detail=False) == files.ls()
    assert disk.ls("packhouse://dir", detail=False) == ["dir/b.txt", "dir/sub"]
    entries = {entry["name"]: entry for entry in disk.ls("/")}
    assert entries["dir"]["type"] == "directory" and entries["a.txt"]["type"] == "file"
    assert entries["a.txt"]["size"] == 5 and entries["a.txt"]["sha"] == files.object_hash("a.txt")
    assert disk.ls("a.txt", detail=False) == ["a.txt"]
    with pytest.raises(FileNotFoundError):
        disk.ls("nope")
    assert sorted(disk.find("")) == sorted(files.ls(recursive=True))
    assert disk.glob("dir/*.txt") == ["dir/b.txt"]
    assert [entry[0] for entry in disk.walk("dir")] == ["dir", "dir/sub"]


def test_info_and_existence(disk, files):
    assert disk.info("packhouse://a.txt")["size"] == disk.size("a.txt") == 5
    assert disk.isdir("dir") and disk.isfile("a.txt") and not disk.exists("nope")
    assert disk.isdir("") and disk.modified("a.txt") == files.time
    assert disk.ukey("a.txt") == files.object_hash("a.txt")
    with pytest.raises(FileNotFoundError):
        disk.info("nope")


def test_reading(disk):
    with disk.open("a.txt") as file:
        assert file.read(2) == b"al" and file.seek(0) == 0 and file.read() == b"alpha"
    with disk.open("a.txt", "r") as file:
        assert file.read() == "alpha"
    assert disk.cat_file("a.txt") == b"alpha" and disk.cat_file("a.txt", 1, 3) == b"lp"
    assert disk.cat_file("a.txt", start=-2) == b"ha" and disk.cat_file("a.txt", end=-3) == b"al"
    assert disk.cat("dir", recursive=True, on_error="omit") == {"dir/b.txt": b"bravo", "dir/sub/c.txt": b"charlie"}
    assert disk.cat_ranges(["a.txt", "run.sh"], [0, 1], [1, 2]) == [b"a", b"!"]


def test_writing(disk, store):
    with disk.open("new/file", "wb") as file:
        file.write(b"one")
        store.branches["main"].write("meanwhile", b"1")
        file.write(b"two")
    fs = store.branches["main"]
    assert fs.read("new/file") == b"onetwo" and fs.exists("meanwhile")
    assert fs.message == "Write new/file"
    with disk.open("text", "w", encoding="utf-8") as file:
        file.write("grün")
    assert disk.cat("text") == "grün".encode()
    disk.pipe("piped", b"data")
    disk.pipe({"p1": b"1", "p2": b"2"})
    assert disk.cat(["piped", "p1"]) == {"piped": b"data", "p1": b"1"}
    with pytest.raises(FileExistsError):
        disk.pipe_file("piped", b"x", mode="create")
    with pytest.raises(FileExistsError):
        disk.open("piped", "xb")
    with pytest.raises(ValueError):
        disk.open("piped", "ab")


def test_a_write_that_fails_is_no_commit(disk, store):
    before = store.branches["main"].commit_hash
    with pytest.raises(LookupError):
        with disk.open("new", "wb") as file:
            file.write(b"x")
            raise LookupError
    disk.open("forgotten", "wb").write(b"x")
    assert store.branches["main"].commit_hash == before


def test_what_the_local_disk_refuses_is_no_commit_of_the_rest(disk, store, monkeypatch):
    before = store.branches["main"].commit_hash

    def refuse(data):
        raise OSError(errno.ENOSPC, "full")

    file = disk.open("new", "wb")
    file.write(b"one")
    monkeypatch.setattr(file._file, "write", refuse)
    with pytest.raises(OSError, match="full"):
        file.write(b"two")
    file.close()
    assert store.branches["main"].commit_hash == before


def test_transactions(disk, store):
    before = store.branches["main"].commit_hash
    with disk.transaction:
        with disk.open("t1", "wb") as file:
            file.write(b"1")
        assert store.branches["main"].commit_hash == before
    assert disk.cat("t1") == b"1"
    with pytest.raises(LookupError):
        with disk.transaction:
            with disk.open("t2", "wb") as file:
                file.write(b"1")
            raise LookupError
    assert not disk.exists("t2")


def test_removing_copying_and_moving(disk, tmp_path):
    disk.rm("a.txt")
    assert not disk.exists("a.txt")
    with pytest.raises(IsADirectoryError):
        disk.rm("dir")
    disk.mkdir("anything")
    disk.makedirs("any/thing", exist_ok=True)
    disk.copy("dir/b.txt", "copied")
    assert disk.cat("copied") == b"bravo"
    disk.mv("copied", "moved")
    assert disk.exists("moved") and not disk.exists("copied")
    disk.rm("dir", recursive=True)
    assert not disk.exists("dir")
    (tmp_path / "local").write_bytes(b"local")
    disk.put(str(tmp_path / "local"), "put")
    disk.get("put", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == b"local"


def test_tags_old_commits_and_readonly(store, tag, files):
    store.branches["main"].write("a.txt", b"changed")
    options = {"repo": store.path, "skip_instance_cache": True}
    for chosen in ({"ref": "v1"}, {"ref": files.commit_hash[:10]}, {"ref": "main", "back": 1}):
        disk = fsspec.filesystem("packhouse", **options, **chosen)
        assert disk.cat("a.txt") == b"alpha"
        with pytest.raises(PermissionError):
            disk.pipe("x", b"1")
        with pytest.raises(PermissionError):
            disk.open("x", "wb")
    disk = fsspec.filesystem("packhouse", **options, readonly=True)
    assert disk.cat("a.txt") == b"changed"
    with pytest.raises(PermissionError):
        disk.rm("a.txt")


def test_urls(store, files):
    with fsspec.open("packhouse://dir/b.txt", repo=store.path) as file:
        assert file.read() == b"bravo"
    with fsspec.open("packhouse://out.txt", "w", repo=store.path, author="alice") as file:
        file.write("out")
    assert store.branches["main"].read("out.txt") == b"out"
    assert store.branches["main"].author_name == "alice"


def test_pandas_reads_and_writes(store):
    import pandas

    options = {"repo": store.path, "ref": "main"}
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.to_csv("packhouse://t/table.csv", index=False, storage_options=options)
    assert store.branches["main"].read("t/table.csv") == b"a,b\n1,x\n2,y\n"
    back = pandas.read_csv("packhouse://t/table.csv", storage_options=options)
    assert back.equals(frame)
