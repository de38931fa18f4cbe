"""Making a directory of a store equal to a local one."""

import pytest

from packhouse.store import ExcludeFilter, StaleSnapshotError


@pytest.fixture
def local(tmp_path):
    root = tmp_path / "local"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("alpha")
    (root / "sub/b.txt").write_text("bravo")
    return root


def paths(entries):
    return [entry.path for entry in entries]


def test_it_becomes_equal(files, local):
    fs = files.sync_in(local, "dir")
    assert fs.ls("dir", recursive=True) == ["dir/a.txt", "dir/sub/b.txt"]
    assert fs.exists("a.txt") and fs.message.startswith("Batch sync: ")
    assert paths(fs.changes.add) == ["a.txt", "sub/b.txt"]
    assert paths(fs.changes.delete) == ["b.txt", "sub/c.txt"]
    (local / "a.txt").write_text("changed")
    fs = fs.sync_in(str(local), "dir")
    assert paths(fs.changes.update) == ["a.txt"]
    assert fs.sync_in(local, "dir") is fs and fs.changes is None


def test_the_root(files, local):
    assert files.sync_in(local, "").ls(recursive=True) == ["a.txt", "sub/b.txt"]


def test_a_missing_directory_is_an_empty_one(files, local):
    fs = files.sync_in(local / "nope", "dir")
    assert not fs.exists("dir") and fs.exists("a.txt")
    fs = fs.sync_in(local / "nope", "a.txt")
    assert not fs.exists("a.txt")
    assert fs.sync_in(local / "nope", "nowhere") is fs


def test_dry_run_message_and_excludes(files, local):
    assert files.sync_in(local, "dir", dry_run=True) is files
    assert paths(files.changes.delete) == ["b.txt", "sub/c.txt"]
    fs = files.sync_in(local, "dir", message="mine", exclude=ExcludeFilter(patterns=["sub/"]))
    assert fs.message == "mine" and fs.ls("dir") == ["a.txt"]
    with pytest.raises(StaleSnapshotError):
        files.sync_in(local, "dir")
