"""Reading and removing through an fsspec file system, its caches and copies of itself."""

import pickle
import threading

import fsspec
import pytest

from packhouse.fsspec import PackhouseFileSystem
from packhouse.store import GitStore


@pytest.fixture
def disk(store, files):
    return fsspec.filesystem("packhouse", repo=store.path, ref="main", skip_instance_cache=True)


def test_parts_of_files(disk):
    assert disk.tail("a.txt", 2) == b"ha" and disk.head("a.txt", 2) == b"al"
    assert disk.read_block("a.txt", 1, 3) == b"lph"
    with disk.open("a.txt") as file:
        assert file.size == 5


# fsspec leaves the files of its caches open.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("cache", ["blockcache", "filecache", "simplecache"])
def test_caches_of_fsspec(disk, tmp_path, cache):
    cached = fsspec.filesystem(cache, fs=disk, cache_storage=str(tmp_path), skip_instance_cache=True)
    for _ in range(2):
        with cached.open("a.txt") as file:
            assert file.read(2) == b"al" and file.read() == b"pha"
    assert cached.tail("dir/b.txt", 2) == b"vo"
    with disk.open("a.txt", cache_type="bytes") as file:
        file.seek(-2, 2)
        assert file.read() == b"ha"


def listed(disk):
    return sorted(disk.find(""))


def test_patterns_are_removed(disk, store, files):
    before = listed(disk)
    disk.rm("dir/*.txt")
    assert set(before) - set(listed(disk)) == {"dir/b.txt"}
    with pytest.raises(FileNotFoundError):
        disk.rm("dir/*.txt")
    with pytest.raises(IsADirectoryError):
        disk.rm("dir*")
    disk.rm(["dir*", "a.*"], recursive=True)
    assert listed(disk) == [".hidden/h.txt", "link", "run.sh"]
    assert store.branches["main"].back(2).commit_hash == files.commit_hash
    disk.rm("**", recursive=True)
    assert listed(disk) == []


def test_no_more_is_removed_than_asked(disk):
    before = listed(disk)
    disk.rm("dir", recursive=True, maxdepth=1)
    assert set(before) - set(listed(disk)) == {"dir/b.txt"}
    disk.rm("", recursive=True, maxdepth=1)
    assert listed(disk) == [".hidden/h.txt", "dir.d/x", "dir/sub/c.txt"]


def test_a_name_that_looks_like_a_pattern_is_one_to_rm_file(disk, store):
    store.branches["main"].write("a*", b"1")
    disk.rm_file("a*")
    assert disk.exists("a.txt") and not store.branches["main"].exists("a*")


class Slow:
    """A local path that, after one look at it, takes as long as it likes to be read."""

    def __init__(self, path):
        self.path, self.looks = path, 0
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __fspath__(self):
        self.looks += 1
        if self.looks > 1:
            self.asked.set()
            assert self.go_on.wait(20)
        return str(self.path)


def test_files_are_read_while_others_have_their_turn(disk, store, tmp_path):
    (tmp_path / "local").write_bytes(b"local")
    slow = Slow(tmp_path / "local")
    putting = threading.Thread(target=lambda: disk.put_file(slow, "put"))
    putting.start()
    assert slow.asked.wait(20)
    # It is not this thread's turn, if it is the other's.
    written = threading.Thread(target=lambda: store.branches["main"].write("meanwhile", b"1"))
    written.start()
    written.join(5)
    is_written = not written.is_alive()
    slow.go_on.set()
    putting.join()
    written.join()
    assert is_written and disk.cat(["put", "meanwhile"]) == {"put": b"local", "meanwhile": b"1"}


def test_a_file_system_is_opened_again_where_it_is_unpickled(path, files, tag):
    for disk in (
        PackhouseFileSystem(GitStore.open(path, author="alice"), "main", skip_instance_cache=True),
        PackhouseFileSystem(repo=GitStore.open(path, author="alice"), ref="v1"),
        PackhouseFileSystem(path, ref="main", readonly=True),
    ):
        again = pickle.loads(pickle.dumps(disk))
        assert again.cat("a.txt") == b"alpha"
        assert (again.ref, again.readonly) == (disk.ref, disk.readonly)
        assert again.store.signature == disk.store.signature
        with disk.open("a.txt", cache_type="bytes") as file:
            assert pickle.loads(pickle.dumps(file)).read() == b"alpha"
