"""Removing, moving, and copying between branches."""

import pytest

from packhouse.store import FileType, GitStore, StaleSnapshotError


def paths(entries):
    return [entry.path for entry in entries]


def test_remove_a_file(files):
    fs = files.remove("a.txt")
    assert not fs.exists("a.txt") and files.exists("a.txt")
    assert paths(fs.changes.delete) == ["a.txt"]
    assert not fs.remove(["run.sh", "link"]).exists("run.sh")


def test_remove_a_directory(files):
    with pytest.raises(IsADirectoryError, match=r"is a directory \(use recursive=True\)"):
        files.remove("dir")
    fs = files.remove("dir", recursive=True, message="gone")
    assert not fs.exists("dir") and fs.message == "gone"
    assert paths(fs.changes.delete) == ["dir/b.txt", "dir/sub/c.txt"]


def test_removing_what_is_not_there(files):
    for missing in ("nope", "dir/nope", "a.txt/b", []):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            files.remove(missing)
    with pytest.raises(FileNotFoundError):
        files.remove(["a.txt", "nope"])
    assert files.store.branches["main"].commit_hash == files.commit_hash


def test_remove_dry_run(files):
    newer = files.write("x", b"1")
    assert files.remove("a.txt", dry_run=True) is files
    assert paths(files.changes.delete) == ["a.txt"]
    with pytest.raises(StaleSnapshotError):
        files.remove("a.txt")
    assert newer.exists("a.txt")


def test_remove_on_a_tag(tag):
    with pytest.raises(PermissionError):
        tag.remove("a.txt")


def test_rename_a_file(files):
    fs = files.move("a.txt", "new/name.txt")
    assert fs.read("new/name.txt") == b"alpha" and not fs.exists("a.txt")
    assert paths(fs.changes.add) == ["new/name.txt"] and paths(fs.changes.delete) == ["a.txt"]
    assert fs.parent.commit_hash == files.commit_hash


def test_rename_keeps_the_type(files):
    fs = files.move("run.sh", "go.sh").move("link", "alias")
    assert fs.file_type("go.sh") is FileType.EXECUTABLE and fs.readlink("alias") == "dir/b.txt"


def test_move_into_a_directory(files):
    assert files.move("a.txt", "dir").read("dir/a.txt") == b"alpha"
    fs = files.store.branches["main"].move(["run.sh", "link"], "into/")
    assert fs.ls("into") == ["link", "run.sh"]


def test_move_a_directory(files):
    with pytest.raises(IsADirectoryError):
        files.move("dir", "other")
    fs = files.move("dir", "other", recursive=True)
    assert fs.ls("other", recursive=True) == ["other/b.txt", "other/sub/c.txt"]
    assert not fs.exists("dir")
    fs = fs.move("other", "dir.d", recursive=True, message="into")
    assert fs.exists("dir.d/other/sub/c.txt") and fs.message == "into"


def test_moves_that_make_no_sense(files):
    with pytest.raises(ValueError, match="Source and destination are the same"):
        files.move("a.txt", "a.txt")
    with pytest.raises(FileNotFoundError):
        files.move("nope", "x")
    assert files.move("a.txt", "b.txt", dry_run=True) is files
    assert paths(files.changes.add) == ["b.txt"] and files.exists("a.txt")


@pytest.fixture
def dev(store, files):
    """Another branch, which has some other files."""
    return store.branches.set("dev", files).apply(
        {"dir/b.txt": b"changed", "dir/new": b"new"}, removes=["dir/sub/c.txt"]
    )


def test_copy_between_branches(files, dev, git):
    fs = files.copy_from_ref(dev, "dir")
    assert fs.read("dir/b.txt") == b"changed" and fs.read("dir/new") == b"new"
    assert fs.exists("dir/sub/c.txt")
    assert sorted(paths(fs.changes.add) + paths(fs.changes.update)) == ["dir/b.txt", "dir/new"]
    assert fs.object_hash("dir/new") == dev.object_hash("dir/new")
    assert fs.copy_from_ref(dev, "dir") is fs


def test_copy_between_branches_with_delete(files, dev):
    fs = files.copy_from_ref(dev, "dir", delete=True)
    assert fs.ls("dir", recursive=True) == dev.ls("dir", recursive=True)
    assert fs.exists("a.txt")


def test_delete_takes_nothing_beside_a_file(files, dev):
    assert files.copy_from_ref(dev, "a.txt", delete=True) is files
    fs = files.copy_from_ref(dev, "dir/new", "dir", delete=True)
    assert fs.ls("dir", recursive=True) == ["dir/b.txt", "dir/new", "dir/sub/c.txt"]
    fs = fs.copy_from_ref(dev, ["dir/b.txt", "dir.d/x"], delete=True)
    assert fs.read("b.txt") == b"changed" and fs.exists("run.sh") and fs.exists("dir/new")


def test_copy_between_branches_to_another_place(files, dev):
    fs = files.copy_from_ref(dev, ["dir/", "a.txt"], "backup")
    assert fs.ls("backup") == ["a.txt", "b.txt", "new"]
    fs = fs.copy_from_ref("dev", message="all of it")
    assert fs.message == "all of it" and fs.exists("dir/new")
    with pytest.raises(FileNotFoundError):
        fs.copy_from_ref(dev, "nope")


def test_the_source_may_be_a_tag_or_an_old_commit(store, files, dev):
    store.tags["v1"] = dev
    assert files.copy_from_ref("v1", "dir", "t").exists("t/dir/new")
    with pytest.raises(ValueError):
        files.copy_from_ref("nope", "dir")
    with pytest.raises(TypeError):
        files.copy_from_ref(5, "dir")


def test_the_source_must_be_of_the_same_store(files, tmp_path):
    other = GitStore.open(tmp_path / "other.git", create="main").branches["main"]
    with pytest.raises(ValueError, match="source must belong to the same repo as self"):
        files.copy_from_ref(other, "")


def test_nothing_is_copied_into_itself(files, dev):
    for sources, dest in [("dir", "dir/sub"), ("dir/", "dir/sub"), ("", "dir"), ("dir", "dir/new")]:
        with pytest.raises(ValueError, match="into itself"):
            files.copy_from_ref(files, sources, dest)
    # What is there already is nothing to do, and another branch is elsewhere.
    assert files.copy_from_ref(files, ["dir", "a.txt"], delete=True) is files
    assert files.copy_from_ref(dev, "dir", "dir/sub").exists("dir/sub/dir/new")


def test_copy_between_branches_dry_run(files, dev):
    assert files.copy_from_ref(dev, "dir", dry_run=True, delete=True) is files
    assert files.changes.total == 3 and files.read("dir/b.txt") == b"bravo"
