"""Reading files and directories of a snapshot."""

import io
import os
import threading
import zipfile
from datetime import datetime, timedelta, timezone

import pytest

from packhouse.store import FileType, GitStore, StatResult, WalkEntry, retry_write

READS = ["read", "readlink", "size", "object_hash", "file_type", "open"]


def test_properties(files, git):
    assert files.commit_hash == files.hash == git("rev-parse", "main")
    assert files.tree_hash == git("rev-parse", "main^{tree}")
    assert (files.author_name, files.author_email) == ("gitstore", "gitstore@localhost")
    assert files.ref_name == files.branch == "main" and files.writable
    assert abs(files.time - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert files.time.utcoffset() == timedelta(0)
    seconds = int(files.time.timestamp())
    assert git("log", "-1", "--format=%at %ct") == f"{seconds} {seconds}"


def test_time_and_message_of_foreign_commits(store, git):
    git("-c", "core.bare=true", "update-ref", "refs/heads/other", foreign_commit(git))
    fs = store.branches["other"]
    assert fs.message == "Subject\n\nBody"
    assert fs.author_name == "Jörg" and fs.author_email == "j@example.com"
    assert fs.time == datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert fs.time.utcoffset() == timedelta(hours=5, minutes=30)


def foreign_commit(git):
    tree = git("rev-parse", "main^{tree}")
    seconds = int(datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))).timestamp())
    text = f"tree {tree}\nauthor Jörg <j@example.com> 1 +0000\ncommitter C <c@example.com> {seconds} +0530\n\nSubject\n\nBody\n\n"
    return git("hash-object", "-t", "commit", "-w", "--stdin", input=text.encode())


def test_read(files):
    assert files.read("a.txt") == b"alpha"
    assert files.read("dir/sub/c.txt") == b"charlie"
    assert files.read("link") == b"dir/b.txt"
    assert files.read_text("dir/b.txt") == "bravo"


def test_a_part_of_a_file(files):
    assert files.read("a.txt", offset=1) == b"lpha"
    assert files.read("a.txt", offset=1, size=2) == b"lp"
    assert files.read("a.txt", size=0) == b""
    assert files.read("a.txt", offset=3, size=100) == b"ha"
    assert files.read("a.txt", offset=100) == b""
    assert files.read("a.txt", offset=-2) == b"ha"
    with pytest.raises(ValueError):
        files.read("a.txt", size=-1)


def test_text_in_another_encoding(fs):
    fs = fs.write_text("latin", "fünf", encoding="latin-1")
    assert fs.read("latin") == b"f\xfcnf"
    assert fs.read_text("latin", encoding="latin-1") == "fünf"
    with pytest.raises(UnicodeDecodeError):
        fs.read_text("latin")


def test_reading_what_is_no_file(files):
    with pytest.raises(FileNotFoundError):
        files.read("nope")
    with pytest.raises(FileNotFoundError):
        files.read("dir/nope")
    with pytest.raises(IsADirectoryError):
        files.read("dir")
    with pytest.raises(NotADirectoryError):
        files.read("a.txt/b")


def test_links_are_never_followed(fs):
    fs = fs.apply({"dir/a": b"1"}).write_symlink("l", "dir")
    assert not fs.exists("l/a") and not fs.is_dir("l")
    with pytest.raises(NotADirectoryError):
        fs.read("l/a")
    with pytest.raises(NotADirectoryError):
        fs.ls("l")


def test_readlink(files):
    assert files.readlink("link") == "dir/b.txt"
    with pytest.raises(FileNotFoundError):
        files.readlink("nope")
    for other in ("a.txt", "dir"):
        with pytest.raises(ValueError, match="Not a symlink"):
            files.readlink(other)


@pytest.mark.parametrize("root", ["", "/", "//"])
def test_the_root_is_no_file(files, root):
    for method in ("read", "readlink", "open"):
        with pytest.raises((ValueError, IsADirectoryError)):
            getattr(files, method)(root)
    with pytest.raises(ValueError, match="Path must not be empty"):
        files.read(root)
    with pytest.raises(ValueError, match="Path must not be empty"):
        files.write(root, b"1")


@pytest.mark.parametrize("method", READS + ["exists", "is_dir", "ls", "listdir", "stat"])
def test_bad_paths(files, method):
    call = getattr(files, method)
    with pytest.raises(ValueError, match="Empty segment in path"):
        call("dir//b.txt")
    for path in ("..", "../a", "dir/../a.txt"):
        with pytest.raises(ValueError, match="Invalid path segment"):
            call(path)
    with pytest.raises(TypeError):
        call(5)


def test_paths_are_normalised(files):
    for path in ("a.txt", "/a.txt", "//a.txt", "./a.txt", "a.txt/"):
        assert files.read(path) == b"alpha" and files.exists(path)
    assert files.ls("/dir/") == files.ls("dir") == files.ls("./dir")
    with pytest.raises(ValueError):
        files.read(".")


def test_path_objects(files):
    from pathlib import PurePosixPath

    assert files.read(PurePosixPath("dir/b.txt")) == b"bravo"
    assert files.ls(PurePosixPath("dir")) == ["b.txt", "sub"]
    entry = next(entry for entry in files.listdir() if entry == "a.txt")
    assert files.read(entry) == b"alpha"


NAMES = [b"\xff\xfe", "ü".encode(), b"a\nb", b"a\\b", b" ", b"\x01", b"a" * 300, "日本".encode(), b"...", b"-x"]


def test_names_of_every_legal_byte_sequence(fs, git):
    names = [os.fsdecode(name) for name in NAMES]
    for number, name in enumerate(names):
        fs = fs.write(f"d/{name}", b"%d" % number)
    assert sorted(fs.ls("d")) == sorted(names)
    assert [fs.read(f"d/{name}") for name in names] == [b"%d" % n for n in range(len(names))]
    (_, _, entries), = fs.walk("d")
    assert sorted(map(os.fsencode, entries)) == sorted(NAMES)
    assert sorted(git("ls-tree", "-z", "--name-only", "main:d").split("\0")[:-1]) == sorted(names)
    fs = fs.write_symlink("l", os.fsdecode(b"\xff"))
    assert os.fsencode(fs.readlink("l")) == b"\xff"


def test_exists_and_is_dir(files):
    for path in ("a.txt", "dir", "dir/sub/c.txt", "link"):
        assert files.exists(path)
    for path in ("nope", "dir/nope", "a.txt/b", "link/b"):
        assert not files.exists(path) and not files.is_dir(path)
    assert files.is_dir("dir") and files.is_dir("dir/sub")
    assert not files.is_dir("a.txt") and not files.is_dir("link")
    assert files.exists("") and files.is_dir("")


def test_file_type_size_and_hash(files, git):
    assert files.file_type("a.txt") is FileType.BLOB
    assert files.file_type("run.sh") is FileType.EXECUTABLE
    assert files.file_type("link") is FileType.LINK
    assert files.file_type("dir") is FileType.TREE
    assert files.size("a.txt") == 5 and files.size("link") == len("dir/b.txt")
    assert files.size("dir") == int(git("cat-file", "-s", "main:dir"))
    for path in ("a.txt", "dir", "link"):
        assert files.object_hash(path) == git("rev-parse", f"main:{path}")
    for path in ("nope", "a.txt/b"):
        for method in (files.file_type, files.size, files.object_hash, files.stat):
            with pytest.raises(FileNotFoundError):
                method(path)


def test_stat(files):
    stat = files.stat("a.txt")
    assert isinstance(stat, StatResult)
    assert (stat.mode, stat.file_type, stat.size, stat.nlink) == (0o100644, FileType.BLOB, 5, 1)
    assert stat.hash == files.object_hash("a.txt")
    assert stat.mtime == files.time.timestamp() and isinstance(stat.mtime, float)
    assert files.stat("run.sh").mode == 0o100755
    assert files.stat("link").file_type is FileType.LINK
    stat = files.stat("dir")
    assert (stat.mode, stat.file_type, stat.size, stat.nlink) == (0o040000, FileType.TREE, 0, 3)
    for root in (None, "", "/"):
        assert files.stat(root).hash == files.tree_hash
        assert files.stat(root).nlink == 2 + 3


def test_ls_is_in_git_order(files, git):
    assert files.ls() == git("ls-tree", "--name-only", "main").split("\n")
    assert files.ls() == files.ls(None) == files.ls("") == files.ls("/")
    # Directories compare as if their names ended in a slash.
    assert files.ls().index("dir.d") < files.ls().index("dir")
    assert files.ls("dir") == ["b.txt", "sub"]
    with pytest.raises(NotADirectoryError):
        files.ls("a.txt")
    with pytest.raises(FileNotFoundError):
        files.ls("nope")


def test_ls_recursive(files, git):
    assert files.ls(recursive=True) == git("ls-tree", "-r", "--name-only", "main").split("\n")
    assert files.ls("dir", recursive=True) == ["dir/b.txt", "dir/sub/c.txt"]


def test_listdir(files):
    entries = files.listdir("dir")
    assert all(isinstance(entry, WalkEntry) for entry in entries)
    assert [(e.name, e.mode, e.file_type) for e in entries] == [
        ("b.txt", 0o100644, FileType.BLOB),
        ("sub", 0o040000, FileType.TREE),
    ]
    assert entries[0].oid == files.object_hash("dir/b.txt").encode()
    with pytest.raises(NotADirectoryError):
        files.listdir("a.txt")


def test_walk(files):
    walked = list(files.walk())
    assert [directory for directory, _, _ in walked] == ["", ".hidden", "dir.d", "dir", "dir/sub"]
    directory, names, entries = walked[0]
    assert sorted(names) == [".hidden", "dir", "dir.d"]
    assert entries == ["a.txt", "link", "run.sh"] and isinstance(entries[0], WalkEntry)
    assert list(files.walk("/dir/")) == [("dir", ["sub"], ["b.txt"]), ("dir/sub", [], ["c.txt"])]
    assert list(files.parent.parent.parent.walk()) == [("", [], [])]


def test_walk_is_lazy(files):
    walk = files.walk()
    assert iter(walk) is walk
    assert next(walk)[0] == ""
    nothing = files.walk("nope")
    with pytest.raises(FileNotFoundError):
        next(nothing)
    with pytest.raises(NotADirectoryError):
        next(files.walk("a.txt"))


def test_open_reads(files):
    with files.open("a.txt", "rb") as file:
        assert isinstance(file, io.BufferedReader)
        assert file.readable() and file.seekable() and not file.writable() and not file.closed
        assert file.read(2) == b"al" and file.tell() == 2
        assert file.seek(0) == 0 and file.read() == b"alpha"
        assert file.seek(-2, os.SEEK_END) == 3 and file.read() == b"ha"
        assert file.read() == b""
        for place in ((-1,), (-6, os.SEEK_END), (-9, os.SEEK_CUR)):
            with pytest.raises(OSError):
                file.seek(*place)
        with pytest.raises(ValueError):
            file.seek(0, 9)
    assert file.closed
    with pytest.raises(ValueError):
        file.read()
    assert files.open("a.txt").read() == b"alpha"
    with files.open("dir/b.txt", "r") as file:
        assert list(file) == ["bravo"]
    with pytest.raises(FileNotFoundError):
        files.open("nope")
    with pytest.raises(IsADirectoryError):
        files.open("dir")
    for mode in ("a", "x", "r+", "rw", ""):
        with pytest.raises(ValueError):
            files.open("a.txt", mode)


def test_a_file_is_looked_at_as_an_archive(files):
    with files.open("a.txt") as file:
        assert not zipfile.is_zipfile(file)


def test_large_files_are_read_from_any_place(fs):
    data = os.urandom(3 << 20)
    fs = fs.write("large", data)
    assert fs.read("large") == data
    assert fs.read("large", offset=1 << 20, size=1000) == data[1 << 20 :][:1000]
    with fs.open("large") as file:
        for place in (2 << 20, 5, (3 << 20) - 1, 0):
            file.seek(place)
            assert file.read(10) == data[place : place + 10]
        file.seek(0)
        assert file.read() == data


def test_submodules_and_odd_modes_of_foreign_repositories(store, git):
    blob = git("hash-object", "-w", "--stdin", input=b"odd")
    tree = b"".join(
        mode + b" " + name + b"\0" + bytes.fromhex(id)
        for mode, name, id in [
            (b"100664", b"group", blob),
            (b"160000", b"module", "1" * 40),
        ]
    )
    tree = git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", input=tree)
    commit = git("commit-tree", "-m", "foreign", tree)
    fs = store.fs(commit)
    assert fs.file_type("group") is FileType.BLOB and fs.read("group") == b"odd"
    assert fs.file_type("module") is FileType.COMMIT and fs.exists("module")
    assert fs.stat("module").hash == "1" * 40 and fs.size("module") == 0
    assert fs.listdir() == ["group", "module"]
    ((_, names, entries),) = fs.walk()
    assert names == [] and entries == ["group", "module"]
    assert entries[1].file_type is FileType.COMMIT
    with pytest.raises(IsADirectoryError):
        fs.read("module")


def test_a_snapshot_is_shared_between_threads(files):
    wrong = []

    def read():
        for _ in range(50):
            if files.read("dir/b.txt") != b"bravo" or files.ls("dir") != ["b.txt", "sub"]:
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closing_changes_nothing(files):
    files.close()
    files.close()
    assert files.read("a.txt") == b"alpha"


def test_numbers_of_any_size_are_what_they_are_in_a_slice(store, fs):
    fs = fs.write("f", b"0123456789")
    id = fs.object_hash("f")
    huge = 2**80
    for read in (
        lambda **part: fs.read("f", **part),
        lambda **part: fs.read_by_hash(id, **part),
        lambda **part: store.read_by_hash(id, **part),
    ):
        for at in (2**31, 2**63 - 1, 2**63, 2**64, huge):
            assert read(offset=at) == b""
            assert read(offset=-at) == b"0123456789"
            assert read(offset=4, size=at) == b"456789"
            assert read(offset=at, size=at) == b""
            with pytest.raises(ValueError, match="size"):
                read(size=-at)


def test_numbers_of_steps_and_settings_are_refused_by_name_whatever_their_size(path, fs):
    for huge in (2**63, 2**64, 2**80):
        with pytest.raises(ValueError, match="history too short"):
            fs.back(huge)
        with pytest.raises(ValueError, match="Cannot undo"):
            fs.undo(huge)
        with pytest.raises(ValueError, match="Cannot redo"):
            fs.redo(huge)
        for call in (lambda: fs.back(-huge), lambda: fs.undo(-huge), lambda: fs.redo(-huge)):
            with pytest.raises(ValueError, match=">="):
                call()
        for level in (huge, -huge):
            with pytest.raises(ValueError, match="compression"):
                GitStore.open(path, compression=level)
        with pytest.raises(ValueError, match="big_file_threshold"):
            GitStore.open(path, big_file_threshold=-huge)
        with pytest.raises(KeyError):
            retry_write(fs.store, "none", "f", b"", retries=huge)
