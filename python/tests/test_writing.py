"""Writing single files: each write is a commit."""

import datetime
import os

import pytest

from packhouse.store import FS, FileEntry, FileType, GitStore, StaleSnapshotError, WriteEntry


def test_a_write_is_a_commit_and_the_old_snapshot_stays(store, fs):
    new = fs.write("a.txt", b"alpha")
    assert new is not fs and new.commit_hash != fs.commit_hash
    assert new.read("a.txt") == b"alpha" and not fs.exists("a.txt")
    assert new.parent.commit_hash == fs.commit_hash
    assert store.branches["main"].commit_hash == new.commit_hash
    assert new.writable and new.ref_name == "main"


def test_directories_come_and_go_with_their_files(fs):
    fs = fs.write("a/b/c.txt", b"1")
    assert fs.is_dir("a/b")
    assert not fs.remove("a/b/c.txt").exists("a")


def test_a_file_gives_way_to_a_directory_and_back(fs):
    fs = fs.write("a", b"file").write("a/b", b"below")
    assert fs.is_dir("a") and fs.read("a/b") == b"below"
    fs = fs.write("a", b"file again")
    assert fs.read("a") == b"file again"
    assert fs.ls() == ["a"]


def test_the_same_content_again_is_no_commit(store, fs):
    one = fs.write("a", b"1")
    assert one.write("a", b"1") is one
    assert one.write("a", b"1", message="other", mode=FileType.BLOB) is one
    assert one.write("a", b"1", mode=FileType.EXECUTABLE) is not one


def test_what_write_takes(fs):
    fs = fs.write("empty", b"")
    assert fs.read("empty") == b""
    for data in (bytearray(b"abc"), memoryview(b"xabcx")[1:4]):
        assert fs.write("a", data).read("a") == b"abc"
        fs = store_of(fs)
    for data in ("text", 5, None, ["x"]):
        with pytest.raises(TypeError):
            store_of(fs).write("a", data)


def store_of(fs):
    return fs.store.branches["main"]


def test_modes(fs, git):
    for mode in (FileType.EXECUTABLE, 0o100755):
        fs = fs.write(f"run-{mode}", b"x", mode=mode)
        assert fs.file_type(f"run-{mode}") is FileType.EXECUTABLE
    fs = fs.write("plain", b"x", mode=0o100644)
    assert fs.stat("plain").mode == 0o100644
    # Writing again without a mode makes it a plain file.
    assert fs.write("run-executable", b"y").file_type("run-executable") is FileType.BLOB
    assert git("ls-tree", "main", "plain").startswith("100644 blob")


@pytest.mark.parametrize("mode", [FileType.TREE, 0o040000, 0o160000, FileType.COMMIT, 0o644, 0])
def test_modes_that_would_break_the_repository_are_refused(fs, mode):
    with pytest.raises(ValueError):
        fs.write("a", b"x", mode=mode)
    with pytest.raises(ValueError):
        fs.apply({"a": WriteEntry(b"x", mode=mode)})
    with pytest.raises(ValueError), fs.batch() as batch:
        batch.write("a", b"x", mode=mode)
    with pytest.raises(TypeError):
        fs.write("a", b"x", mode="755")


def test_text(fs):
    fs = fs.write_text("t", "grün", message="text", mode=FileType.EXECUTABLE)
    assert fs.read("t") == "grün".encode() and fs.message == "text"
    assert fs.file_type("t") is FileType.EXECUTABLE


def test_from_a_local_file(fs, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(b"local")
    assert fs.write_from_file("a", local).read("a") == b"local"
    local.chmod(0o654)
    fs = store_of(fs).write_from_file("x", str(local))
    assert fs.file_type("x") is FileType.EXECUTABLE
    fs = fs.write_from_file("x", local, mode=FileType.BLOB, message="plain")
    assert fs.file_type("x") is FileType.BLOB and fs.message == "plain"
    (tmp_path / "alias").symlink_to(local)
    fs = fs.write_from_file("y", tmp_path / "alias")
    assert fs.read("y") == b"local" and fs.file_type("y") is FileType.EXECUTABLE
    with pytest.raises(FileNotFoundError):
        fs.write_from_file("z", tmp_path / "nope")
    with pytest.raises(IsADirectoryError):
        fs.write_from_file("z", tmp_path)


def test_symlinks(fs, git):
    fs = fs.write_symlink("l", "some/where", message="link")
    assert fs.readlink("l") == "some/where" and fs.message == "link"
    assert git("ls-tree", "main", "l").startswith("120000 blob")


@pytest.mark.parametrize("name", [".git/config", "a/.GIT/x", "git~1/x"])
def test_paths_that_git_would_not_check_out_are_refused(fs, name):
    with pytest.raises(ValueError):
        fs.write(name, b"x")
    assert fs.store.branches["main"].commit_hash == fs.commit_hash


def test_bad_paths(fs):
    for path in ("a//b", "../a", "a/..", "."):
        with pytest.raises(ValueError):
            fs.write(path, b"x")
    with pytest.raises(ValueError):
        fs.write("a\0b", b"x")


def test_a_stale_snapshot_cannot_write(store, fs):
    newer = fs.write("a", b"1")
    for attempt in (
        lambda: fs.write("b", b"2"),
        lambda: fs.write_text("b", "2"),
        lambda: fs.write_symlink("b", "2"),
        lambda: fs.apply({"b": b"2"}),
        lambda: fs.apply(removes="a"),
        lambda: newer.parent.write("b", b"2"),
    ):
        with pytest.raises(StaleSnapshotError) as error:
            attempt()
        assert str(error.value) == "Branch 'main' has advanced since this snapshot"
    assert store.branches["main"].commit_hash == newer.commit_hash


def test_even_a_write_without_effect_is_told_that_it_is_stale(fs):
    one = fs.write("a", b"1")
    one.write("b", b"2")
    with pytest.raises(StaleSnapshotError):
        one.write("a", b"1")


def test_read_only_snapshots_say_so(tag, files):
    with pytest.raises(PermissionError) as error:
        tag.write("a", b"1")
    assert str(error.value) == "Cannot write to read-only snapshot (ref 'v1')"
    with pytest.raises(PermissionError) as error:
        tag.batch()
    assert str(error.value) == "Cannot batch on read-only snapshot (ref 'v1')"
    detached = FS(files.store, files.commit_hash)
    with pytest.raises(PermissionError) as error:
        detached.write("a", b"1")
    assert str(error.value) == "Cannot write to read-only snapshot"
    for attempt in (
        lambda: tag.write_text("a", "1"),
        lambda: tag.write_symlink("a", "b"),
        lambda: tag.write_from_file("a", __file__),
        lambda: tag.apply({"a": b"1"}),
        lambda: tag.writer("a"),
        lambda: tag.open("a", "wb"),
    ):
        with pytest.raises(PermissionError):
            attempt()


def test_classic_messages(fs, tmp_path):
    fs = fs.write("hello.txt", b"1")
    assert fs.message == "Write hello.txt"
    fs = fs.write("hello.txt", b"2")
    assert fs.message == "Write hello.txt"
    fs = fs.remove("hello.txt")
    assert fs.message == "Remove hello.txt"
    with fs.batch() as batch:
        batch.write("a", b"1")
        batch.write("b", b"1")
    assert batch.fs.message.startswith("Batch: ")


def test_compact_messages(path):
    fs = GitStore.open(path, create="main", messages="compact").branches["main"]
    fs = fs.write("a", b"1")
    assert fs.message == "+ a"
    fs = fs.write("a", b"2")
    assert fs.message == "~ a"
    fs = fs.write("x", b"2", mode=FileType.EXECUTABLE)
    assert fs.message == "+ x (executable)"
    fs = fs.write_symlink("l", "a")
    assert fs.message == "+ l (link)"
    fs = fs.apply({"b": b"1", "a": b"3"}, removes="x")
    assert fs.message == "Batch: +1 ~1 -1"
    fs = fs.apply({"c": b"1", "d": b"3"}, operation="cp")
    assert fs.message == "Batch cp: +2"
    fs = fs.apply(removes="a")
    assert fs.message == "- a"


def test_message_templates(path):
    fs = GitStore.open(path, create="main", messages="compact").branches["main"]
    fs = fs.apply({"a": b"1", "b": b"2"}, message="import: {default}")
    assert fs.message == "import: Batch: +2"
    fs = fs.apply(
        {"a": b"2", "c": b"3"},
        removes=["b"],
        operation="cp",
        message="{op} {add_count}/{update_count}/{delete_count} of {total_count}",
    )
    assert fs.message == "cp 1/1/1 of 3"
    assert fs.write("a", b"x", message="50% {{done}}").message == "50% {done}"
    fs = store_of(fs)
    assert fs.write("a", b"y", message="plain } text").message == "plain } text"
    fs = store_of(fs)
    assert fs.write("a", b"z", message="").message == "~ a"
    fs = store_of(fs)
    with pytest.raises(KeyError):
        fs.write("a", b"0", message="{nope}")
    with pytest.raises(ValueError):
        fs.write("a", b"0", message="{default")
    assert store_of(fs).commit_hash == fs.commit_hash


def test_a_message_ends_in_one_newline(fs, git):
    fs.write("a", b"1", message="one")
    assert git("cat-file", "commit", "main").endswith("\n\none")
    store_of(fs).write("a", b"2", message="two\n")
    assert store_of(fs).message == "two"


def test_changes_of_a_write(fs):
    assert fs.changes is None
    fs = fs.write("a", b"1")
    assert fs.changes.add == [FileEntry("a", FileType.BLOB)]
    assert fs.changes is fs.changes and fs.changes.total == 1
    fs = fs.apply({"a": WriteEntry(b"1", mode=0o100755), "l": WriteEntry(target="a")})
    assert fs.changes.update == [FileEntry("a", FileType.EXECUTABLE)]
    assert fs.changes.add == [FileEntry("l", FileType.LINK)]
    fs = fs.apply({"a": WriteEntry(b"1", mode=0o100755)}, removes=["l"])
    assert [entry.path for entry in fs.changes.delete] == ["l"] and fs.changes.update == []


def test_apply(fs, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(b"disk")
    local.chmod(0o755)
    fs = fs.write("old", b"1").apply(
        {
            "bytes": b"b",
            "text": "t€xt",
            "path": local,
            "entry": WriteEntry(b"e", mode=FileType.EXECUTABLE),
            "entry-text": WriteEntry("e", mode=0o100644),
            "entry-path": WriteEntry(local),
            "entry-plain": WriteEntry(local, mode=FileType.BLOB),
            "link": WriteEntry(target="bytes"),
        },
        removes=["old", "never-there"],
        message="all",
    )
    assert fs.message == "all" and not fs.exists("old")
    assert fs.read("bytes") == b"b" and fs.read_text("text") == "t€xt"
    assert fs.read("path") == b"disk" and fs.file_type("path") is FileType.EXECUTABLE
    assert fs.file_type("entry") is FileType.EXECUTABLE
    assert fs.file_type("entry-path") is FileType.EXECUTABLE
    assert fs.file_type("entry-plain") is FileType.BLOB
    assert fs.readlink("link") == "bytes"


def test_apply_takes_one_path_or_many_to_remove(fs):
    fs = fs.apply({"a": b"1", "b": b"2", "c": b"3", "d": b"4"})
    assert fs.apply(removes="a").ls() == ["b", "c", "d"]
    fs = store_of(fs)
    assert fs.apply(removes={"b"}).apply(removes=["c"]).ls() == ["d"]


def test_apply_of_nothing_is_no_commit(fs):
    assert fs.apply() is fs
    assert fs.apply({}, []) is fs
    assert fs.apply(removes="nope") is fs


def test_apply_removes_a_path_that_is_in_both(fs):
    assert fs.apply({"a": b"1", "b": b"2"}, removes="a").ls() == ["b"]


def test_a_directory_wins_over_a_file_of_its_name(fs):
    fs = fs.apply({"c": b"file", "c/d": b"below"})
    assert fs.read("c/d") == b"below"


@pytest.mark.parametrize("value", [5, None, ["x"], object(), bytearray(b"x")])
def test_apply_refuses_other_values(fs, value):
    with pytest.raises(TypeError, match="Expected WriteEntry"):
        fs.apply({"a": value})


def test_extra_parents_are_recorded(store, fs, git):
    side = store.branches.set("side", fs).write("s", b"1")
    fs = fs.write("a", b"1", parents=[side])
    assert git("rev-list", "--parents", "-1", "main").split()[1:] == [
        fs.parent.commit_hash,
        side.commit_hash,
    ]
    assert fs.parent.ref_name == "main" and not fs.exists("s")
    with pytest.raises(TypeError):
        fs.write("b", b"1", parents=["main"])


def test_a_commit_is_what_git_expects(fs, git):
    fs = fs.write("a", b"1")
    seconds = int(fs.time.timestamp())
    assert git("cat-file", "commit", "main").split("\n") == [
        f"tree {fs.tree_hash}",
        f"parent {fs.parent.commit_hash}",
        f"author gitstore <gitstore@localhost> {seconds} +0000",
        f"committer gitstore <gitstore@localhost> {seconds} +0000",
        "encoding UTF-8",
        "",
        "Write a",
    ]


def test_git_moving_the_branch_makes_a_snapshot_stale(fs, git):
    fs = fs.write("a", b"1")
    git("update-ref", "refs/heads/main", fs.parent.commit_hash)
    with pytest.raises(StaleSnapshotError):
        fs.write("b", b"2")


def test_many_files_in_one_commit(fs, git):
    fs = fs.apply({f"d{n % 10}/f{n}": b"%d" % n for n in range(2000)})
    assert fs.changes.total == 2000
    assert len(git("ls-tree", "-r", "--name-only", "main").split("\n")) == 2000
    assert fs.read("d7/f1117") == b"1117"


def test_a_large_file(fs, git):
    data = os.urandom(5 << 20)
    fs = fs.write("large", data)
    assert fs.read("large") == data
    assert int(git("cat-file", "-s", "main:large")) == len(data)


def test_messages_are_formatted_as_by_str_format(fs):
    template = "{add_count:>3}|{op!r}|{default:.5}|{total_count:02}"
    assert fs.write("a", b"", message=template).message == "  1|''|Write|01"


def test_a_writer_records_further_parents(store, fs, git):
    other = store.branches.set("other", fs).write("o", b"")
    with fs.writer("a", parents=[other]) as out:
        out.write(b"1")
    with out.fs.open("b", "wb", parents=[other]) as again:
        again.write(b"2")
    for written in (out.fs, again.fs):
        line = git("log", "-1", "--format=%P", written.commit_hash)
        assert line.split()[1] == other.commit_hash


def test_a_write_that_changes_nothing_needs_the_newest_state_too(store, files, tmp_path):
    """One rule for every method."""
    files = store.branches.set("work", files)
    files.copy_out("/", tmp_path / "same")
    files.archive_out(tmp_path / "same.tar")

    def writer(fs):
        with fs.writer("a.txt") as file:
            file.write(b"alpha")
        return file.fs

    def batch(fs, writes=()):
        with fs.batch() as gathered:
            for path in writes:
                gathered.write(path, fs.read(path))
        return gathered.fs

    no_ops = [
        lambda fs: fs.write("a.txt", b"alpha"),
        lambda fs: fs.write_text("a.txt", "alpha"),
        lambda fs: fs.write_from_file("a.txt", tmp_path / "same/a.txt"),
        lambda fs: fs.write_symlink("link", "dir/b.txt"),
        writer,
        batch,
        lambda fs: batch(fs, ["a.txt"]),
        lambda fs: fs.apply(),
        lambda fs: fs.apply({}, []),
        lambda fs: fs.apply({"a.txt": b"alpha"}, "not there"),
        lambda fs: fs.copy_in([], ""),
        lambda fs: fs.copy_in([], "", delete=True),
        lambda fs: fs.copy_in(f"{tmp_path}/same/", ""),
        lambda fs: fs.copy_in(f"{tmp_path}/same/", "", delete=True),
        lambda fs: fs.copy_in(f"{tmp_path}/same/", "", ignore_existing=True),
        lambda fs: fs.sync_in(tmp_path / "same", ""),
        lambda fs: fs.sync_in(tmp_path / "missing", "missing"),
        lambda fs: fs.copy_from_ref(fs),
        lambda fs: fs.copy_from_ref(fs, delete=True),
        lambda fs: fs.archive_in(tmp_path / "same.tar"),
    ]
    for no_op in no_ops:
        assert no_op(files) is files
    store.tags["v1"] = files
    files.write("newer", b"")
    for no_op in no_ops:
        with pytest.raises(StaleSnapshotError):
            no_op(files)
        with pytest.raises(PermissionError):
            no_op(store.tags["v1"])
    del store.branches["work"]
    for no_op in no_ops:
        with pytest.raises(KeyError):
            no_op(files)


@pytest.mark.parametrize(
    "call",
    [
        lambda fs: fs.write_text("x", 5),
        lambda fs: fs.batch().write_text("x", b"5"),
        lambda fs: fs.copy_in([], "", exclude="x"),
        lambda fs: fs.sync_in(".", "", exclude="x"),
        lambda fs: fs.apply("text"),
        lambda fs: fs.log(before=datetime.date(2020, 1, 1)),
    ],
)
def test_arguments_of_the_wrong_type(fs, call):
    with pytest.raises(TypeError, match="expected"):
        call(fs)
