"""Copying out of a store."""

import os
import subprocess
import sys

import pytest

from packhouse.store import FileType


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def on_disk(root):
    found = []
    for folder, names, files in os.walk(root):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in files]
        found += [
            os.path.relpath(os.path.join(folder, name), root)
            for name in names
            if os.path.islink(os.path.join(folder, name))
        ]
    return sorted(found)


def paths(entries):
    return [entry.path for entry in entries]


ALL = [".hidden/h.txt", "a.txt", "dir.d/x", "dir/b.txt", "dir/sub/c.txt", "link", "run.sh"]


@pytest.mark.parametrize("everything", ["", "/"])
def test_the_whole_tree(files, out, everything):
    result = files.copy_out(everything, out)
    assert result is files
    assert on_disk(out) == ALL
    assert (out / "dir/sub/c.txt").read_bytes() == b"charlie"
    assert os.readlink(out / "link") == "dir/b.txt"
    assert os.access(out / "run.sh", os.X_OK) and not os.access(out / "a.txt", os.X_OK)
    assert paths(files.changes.add) == ALL


def test_files_get_the_time_of_the_commit(files, out):
    files.copy_out("", out)
    for name in ("a.txt", "link"):
        assert int(os.lstat(out / name).st_mtime) == int(files.time.timestamp())


def test_sources(files, out):
    files.copy_out(["a.txt", "dir"], out)
    assert on_disk(out) == ["a.txt", "dir/b.txt", "dir/sub/c.txt"]
    files.copy_out("dir/", out / "contents")
    assert on_disk(out / "contents") == ["b.txt", "sub/c.txt"]
    files.copy_out("dir/./sub/c.txt", out / "pivot")
    assert on_disk(out / "pivot") == ["sub/c.txt"]
    with pytest.raises(FileNotFoundError, match="File not found in repo"):
        files.copy_out("nope", out)
    with pytest.raises(NotADirectoryError):
        files.copy_out("a.txt/", out)


def test_files_and_directories_in_the_way_are_replaced(files, out):
    (out / "a.txt").mkdir(parents=True)
    (out / "a.txt" / "inside").write_text("x")
    (out / "dir").write_text("a file")
    (out / "extra").write_text("stays")
    files.copy_out("", out)
    assert (out / "a.txt").read_bytes() == b"alpha" and (out / "dir/b.txt").read_bytes() == b"bravo"
    assert (out / "extra").read_text() == "stays"


def test_nothing_is_written_outside_the_destination(files, out, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    out.mkdir()
    (out / "dir").symlink_to(outside)
    (out / "a.txt").symlink_to(outside / "target")
    files.copy_out("", out)
    assert list(outside.iterdir()) == []
    assert not (out / "dir").is_symlink() and not (out / "a.txt").is_symlink()


def test_delete(files, out):
    files.copy_out("", out)
    (out / "extra").write_text("x")
    (out / "deep/er").mkdir(parents=True)
    (out / "deep/er/x").write_text("x")
    (out / "a.txt").write_text("changed")
    files.copy_out("", out, delete=True)
    assert on_disk(out) == ALL and not (out / "deep").exists()
    assert paths(files.changes.update) == ["a.txt"]
    assert paths(files.changes.delete) == ["deep/er/x", "extra"]
    assert {entry.type for entry in files.changes.delete} == {FileType.BLOB}
    assert files.copy_out("", out, delete=True).changes is None


def test_ignore_existing(files, out):
    out.mkdir()
    (out / "a.txt").write_text("mine")
    files.copy_out("", out, ignore_existing=True)
    assert (out / "a.txt").read_text() == "mine" and (out / "dir/b.txt").exists()


def test_dry_run(files, out):
    assert files.copy_out("", out, dry_run=True) is files
    assert not out.exists() and paths(files.changes.add) == ALL


def test_older_files_are_brought_up_to_the_snapshot(files, out):
    files.copy_out("", out, delete=True)
    (out / "a.txt").write_text("other")
    os.utime(out / "a.txt", (1, 1))
    files.copy_out("", out, delete=True, checksum=False)
    assert (out / "a.txt").read_text() == "alpha" and paths(files.changes.update) == ["a.txt"]


def test_from_a_tag(tag, out):
    assert tag.copy_out("a.txt", out) is tag
    assert on_disk(out) == ["a.txt"]


def test_dump(files, out):
    out.mkdir()
    (out / "extra").write_text("stays")
    assert files.dump(out) is None
    assert on_disk(out) == sorted([*ALL, "extra"])


def test_dump_of_an_empty_tree(fs, out):
    fs.dump(out)
    assert out.is_dir() and on_disk(out) == []


def test_sync_out(files, out):
    out.mkdir()
    (out / "extra").write_text("x")
    assert files.sync_out("dir", out) is files
    assert on_disk(out) == ["b.txt", "sub/c.txt"]
    assert paths(files.changes.delete) == ["extra"]
    assert files.sync_out("dir", out).changes is None
    files.sync_out("nope", out)
    assert on_disk(out) == [] and out.is_dir()
    files.sync_out("", out, dry_run=True)
    assert on_disk(out) == []
    files.sync_out("", out)
    assert on_disk(out) == ALL


def test_a_file_keeps_the_permissions_of_the_one_it_replaces(files, out):
    out.mkdir()
    for name in ("a.txt", "run.sh"):
        (out / name).write_text("old")
        (out / name).chmod(0o640)
    files.copy_out(["a.txt", "run.sh"], out)
    assert (out / "a.txt").read_bytes() == b"alpha"
    assert [(out / name).stat().st_mode & 0o777 for name in ("a.txt", "run.sh")] == [0o640, 0o750]


def test_a_file_of_the_stores_name_does_not_replace_the_store(store, fs, path):
    fs = fs.write(path.name, b"not a repository")
    for dry_run in (True, False):
        with pytest.raises(ValueError, match="the store is in the way"):
            fs.copy_out(path.name, path.parent, dry_run=dry_run)
    assert store.branches["main"].read(path.name) == b"not a repository"


INTERRUPTED = """
import os, signal, sys
from packhouse.store import GitStore

# A shell that runs the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
fs = GitStore.open(sys.argv[1]).branches["main"]


def interrupt(done, total):
    os.kill(os.getpid(), signal.SIGINT)


try:
    fs.copy_out("/", sys.argv[2], progress=interrupt)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_copy_before_its_end(fs, out):
    fs = fs.apply({f"{folder}/{number}": b"x" for folder in range(300) for number in range(100)})
    command = [sys.executable, "-c", INTERRUPTED, fs.store.path, out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "interrupted\n", done.stderr
    assert 0 < len(on_disk(out)) < 30_000
    assert not [name for name in on_disk(out) if ".packhouse-" in name]
