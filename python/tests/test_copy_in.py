"""Copying local files into a store."""

import os

import pytest

from packhouse.store import ChangeError, ExcludeFilter, FileEntry, FileType, StaleSnapshotError


@pytest.fixture
def local(tmp_path):
    """A local directory with files, an executable, a link, and an empty directory."""
    root = tmp_path / "local"
    for name, text in {"a.txt": "alpha", "sub/b.txt": "bravo", "sub/deep/c.txt": "charlie"}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("a.txt")
    (root / "dirlink").symlink_to("sub")
    (root / "dangling").symlink_to("nowhere")
    (root / "empty").mkdir()
    return root


ALL = ["a.txt", "dangling", "dirlink", "link", "run.sh", "sub/b.txt", "sub/deep/c.txt"]


def paths(entries):
    return [entry.path for entry in entries]


def tree(fs, path=None):
    return fs.ls(path, recursive=True)


def test_contents_of_a_directory(fs, local):
    new = fs.copy_in(f"{local}/", "")
    assert tree(new) == ALL
    assert new.file_type("run.sh") is FileType.EXECUTABLE
    assert new.readlink("link") == "a.txt" and new.readlink("dirlink") == "sub"
    assert new.readlink("dangling") == "nowhere"
    assert paths(new.changes.add) == ALL and new.changes.update == []
    assert new.parent.commit_hash == fs.commit_hash


def test_a_directory_keeps_its_name(fs, local):
    assert tree(fs.copy_in(str(local), "dest")) == [f"dest/local/{path}" for path in ALL]


def test_single_files(fs, local):
    fs = fs.copy_in([local / "a.txt", f"{local}/sub/b.txt"], "dest")
    assert tree(fs) == ["dest/a.txt", "dest/b.txt"]
    assert fs.changes.add == [
        FileEntry("a.txt", FileType.BLOB, str(local / "a.txt")),
        FileEntry("b.txt", FileType.BLOB, str(local / "sub/b.txt")),
    ]


def test_a_destination_may_end_in_a_slash(fs, local):
    assert tree(fs.copy_in(str(local / "a.txt"), "dest/")) == ["dest/a.txt"]


def test_a_pivot_keeps_what_is_behind_it(fs, local):
    fs = fs.copy_in([f"{local}/./sub/b.txt"], "dest")
    assert tree(fs) == ["dest/sub/b.txt"]
    fs = fs.copy_in([f"{local}/./sub/deep"], "other")
    assert tree(fs, "other") == ["other/sub/deep/c.txt"]


def test_a_leading_dot_is_no_pivot(fs, local, monkeypatch):
    monkeypatch.chdir(local)
    assert tree(fs.copy_in("./sub/b.txt", "")) == ["b.txt"]


def test_missing_and_wrong_sources(fs, local):
    with pytest.raises(FileNotFoundError, match="Local file not found"):
        fs.copy_in(str(local / "nope"), "")
    with pytest.raises(NotADirectoryError):
        fs.copy_in(f"{local}/a.txt/", "")
    assert fs.store.branches["main"].commit_hash == fs.commit_hash


def test_following_links(fs, local):
    (local / "dangling").unlink()
    fs = fs.copy_in(f"{local}/", "", follow_symlinks=True)
    assert fs.read("link") == b"alpha" and fs.file_type("link") is FileType.BLOB
    assert fs.read("dirlink/deep/c.txt") == b"charlie"
    assert fs.read("sub/b.txt") == fs.read("dirlink/b.txt") == b"bravo"


def test_links_in_circles_end(fs, local):
    (local / "sub" / "up").symlink_to("..")
    (local / "dangling").unlink()
    fs = fs.copy_in(f"{local}/", "", follow_symlinks=True)
    assert fs.read("sub/b.txt") == b"bravo"


def test_a_mode_for_all(fs, local):
    fs = fs.copy_in([str(local / "a.txt"), str(local / "run.sh")], "", mode=FileType.EXECUTABLE)
    assert fs.file_type("a.txt") is FileType.EXECUTABLE
    fs = fs.copy_in(str(local / "run.sh"), "", mode=0o100644)
    assert fs.file_type("run.sh") is FileType.BLOB


def test_without_delete_the_report_goes_by_existence(fs, local):
    one = fs.copy_in(f"{local}/", "")
    again = one.copy_in(f"{local}/", "")
    assert again is one
    assert paths(again.changes.update) == ALL and again.changes.add == []


def test_with_delete_only_differences_are_reported(fs, local):
    fs = fs.copy_in(f"{local}/", "dest").write("dest/extra", b"1").write("kept", b"1")
    (local / "a.txt").write_text("changed")
    (local / "new").write_text("new")
    (local / "sub" / "b.txt").chmod(0o755)
    fs = fs.copy_in(f"{local}/", "dest", delete=True)
    assert paths(fs.changes.add) == ["new"]
    assert paths(fs.changes.update) == ["a.txt", "sub/b.txt"]
    assert paths(fs.changes.delete) == ["extra"]
    assert fs.exists("kept") and not fs.exists("dest/extra")
    assert fs.copy_in(f"{local}/", "dest", delete=True) is fs
    assert fs.changes is None


def test_existing_files_are_ignored_on_request(fs, local):
    fs = fs.write("a.txt", b"mine")
    fs = fs.copy_in(f"{local}/", "", ignore_existing=True)
    assert fs.read("a.txt") == b"mine" and fs.exists("sub/b.txt")
    assert "a.txt" not in paths(fs.changes.add) and fs.changes.update == []


def test_a_dry_run_writes_nothing(fs, local):
    fs = fs.write("old", b"1")
    same = fs.copy_in(f"{local}/", "", delete=True, dry_run=True)
    assert same is fs and fs.ls() == ["old"]
    assert paths(fs.changes.add) == ALL and paths(fs.changes.delete) == ["old"]
    synced = fs.copy_in(f"{local}/", "", delete=True)
    assert synced.copy_in(f"{local}/", "", delete=True, dry_run=True).changes is None


def test_unreadable_files(fs, local):
    (local / "sub" / "b.txt").unlink()
    (local / "sub" / "b.txt").mkdir()
    os.mkfifo(local / "sub" / "pipe")
    fs = fs.copy_in([f"{local}/", str(local / "nope")], "", ignore_errors=True)
    assert any(isinstance(error, ChangeError) and "nope" in error.path for error in fs.changes.errors)
    assert fs.read("a.txt") == b"alpha"
    with pytest.raises(RuntimeError, match="All files failed to copy"):
        fs.copy_in([str(local / "nope")], "", ignore_errors=True)


def test_missing_sources_never_delete(fs, local):
    fs = fs.write("keep", b"1")
    fs = fs.copy_in([str(local / "nope"), str(local / "a.txt")], "", delete=True, ignore_errors=True)
    assert fs.exists("keep") and fs.exists("a.txt")


def test_overlapping_sources_with_delete(fs, local):
    (local / "other").mkdir()
    (local / "other" / "a.txt").write_text("second")
    fs = fs.copy_in([str(local / "a.txt"), str(local / "other/a.txt")], "d", delete=True)
    assert fs.read("d/a.txt") == b"alpha"
    (warning,) = fs.changes.warnings
    assert isinstance(warning, ChangeError) and "Overlapping destination" in warning.error


@pytest.mark.parametrize("seconds", [-(10**9), -1, 0, 1])
def test_times_in_place_of_contents(fs, local, seconds):
    fs = fs.copy_in(f"{local}/", "", delete=True)
    (local / "a.txt").write_text("changed")
    time = int(fs.time.timestamp()) + seconds
    os.utime(local / "a.txt", (time, time))
    if seconds < 0:
        assert fs.copy_in(f"{local}/", "", delete=True, checksum=False) is fs
        fs = fs.copy_in(f"{local}/", "", delete=True)
    else:
        fs = fs.copy_in(f"{local}/", "", delete=True, checksum=False)
    assert fs.read("a.txt") == b"changed" and paths(fs.changes.update) == ["a.txt"]


def test_excludes(fs, local):
    exclude = ExcludeFilter(patterns=["*.txt", "!sub/b.txt", "deep/"])
    fs = fs.copy_in(f"{local}/", "", exclude=exclude)
    assert tree(fs) == ["dangling", "dirlink", "link", "run.sh", "sub/b.txt"]


def test_excluded_files_of_the_destination(fs, local):
    fs = fs.apply({"old.log": b"1", "old.txt": b"1"})
    exclude = ExcludeFilter(patterns=["*.log"])
    kept = fs.copy_in(f"{local}/", "", exclude=exclude, delete=True, keep_excluded=True)
    assert kept.exists("old.log") and not kept.exists("old.txt")
    deleted = kept.copy_in(f"{local}/", "", exclude=exclude, delete=True)
    assert not deleted.exists("old.log")


def test_messages_and_parents(store, fs, local, git):
    side = store.branches.set("side", fs).write("s", b"1")
    new = fs.copy_in(str(local / "a.txt"), "", message="import {add_count}", parents=[side])
    assert new.message == "import 1"
    assert side.commit_hash in git("rev-list", "--parents", "-1", "main")
    assert new.copy_in(f"{local}/", "x").message.startswith("Batch cp: ")


def test_stale_and_read_only(store, fs, local):
    store.tags["v1"] = fs.write("newer", b"1")
    tag = store.tags["v1"]
    with pytest.raises(StaleSnapshotError):
        fs.copy_in(f"{local}/", "")
    with pytest.raises(PermissionError):
        tag.copy_in(f"{local}/", "")


def test_progress(fs, local):
    seen = []
    fs.copy_in(f"{local}/", "", progress=lambda done, total: seen.append((done, total)))
    assert seen and seen[-1][0] >= len(ALL) - 1

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fs.store.branches["main"].copy_in(f"{local}/", "again", progress=stop)


def test_names_of_any_bytes(fs, tmp_path):
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    with open(folder + b"/\xfe", "w") as file:
        file.write("x")
    fs = fs.copy_in(os.fsdecode(folder), "")
    assert os.fsencode(tree(fs)[0]) == b"\xff/\xfe"
