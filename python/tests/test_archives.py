"""Snapshots as archives, and archives taken in."""

import io
import os
import stat
import subprocess
import tarfile
import zipfile

import pytest

FORMATS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


@pytest.mark.parametrize("format", FORMATS)
def test_out_and_in_again(store, files, tmp_path, format):
    archive = tmp_path / f"snapshot.{format}"
    assert files.archive_out(archive) == 7
    assert [name for name in os.listdir(tmp_path) if name.startswith((".archive", archive.name))] == [archive.name]
    fs = store.branches.set("copy", files).remove(["dir", "a.txt"], recursive=True)
    fs = fs.archive_in(archive, message="again")
    assert fs.tree_hash == files.tree_hash and fs.message == "again"
    assert fs.archive_in(archive, "below").ls("below") == files.ls()


def test_other_programs_read_them(files, tmp_path):
    files.archive_out(tmp_path / "s.tgz", "dir")
    with tarfile.open(tmp_path / "s.tgz") as tar:
        assert sorted(tar.getnames()) == ["b.txt", "sub/c.txt"]
    files.archive_out(tmp_path / "s.zip")
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert archive.testzip() is None and archive.read("a.txt") == b"alpha"
        assert archive.getinfo("run.sh").external_attr >> 16 == 0o100755
        assert stat.S_ISLNK(archive.getinfo("link").external_attr >> 16)


def test_archives_of_other_programs(fs, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/run").write_text("x")
    (tmp_path / "in/run").chmod(0o755)
    (tmp_path / "in/link").symlink_to("run")
    subprocess.run(["tar", "-C", tmp_path / "in", "-cJf", tmp_path / "a.txz", "."], check=True)
    fs = fs.archive_in(tmp_path / "a.txz")
    assert fs.ls() == ["link", "run"] and fs.stat("run").mode == 0o100755


def test_what_is_at_or_beside_the_target_is_not_lost(files, tmp_path):
    (tmp_path / "o.tar.partial").write_text("mine")
    (tmp_path / "link.tar").symlink_to("o.tar")
    files.archive_out(tmp_path / "link.tar")
    assert (tmp_path / "link.tar").is_symlink() and tarfile.is_tarfile(tmp_path / "o.tar")
    assert (tmp_path / "o.tar").stat().st_mode == (tmp_path / "o.tar.partial").stat().st_mode
    assert (tmp_path / "o.tar.partial").read_text() == "mine"
    with pytest.raises(IsADirectoryError):
        files.archive_out(tmp_path, format="tar")
    os.mkfifo(tmp_path / "pipe.tar")
    reader = subprocess.Popen(["cat", tmp_path / "pipe.tar"], stdout=subprocess.PIPE)
    try:
        files.archive_out(tmp_path / "pipe.tar")
        assert reader.communicate(timeout=60)[0] == (tmp_path / "o.tar").read_bytes()
    finally:
        reader.kill()
    assert (tmp_path / "pipe.tar").is_fifo()


def test_file_objects(files):
    out = io.BytesIO()
    assert files.archive_out(out, format="tar") == 7
    out.seek(0)
    assert files.archive_in(out, "again", format="tar").exists("again/dir/b.txt")
    with pytest.raises(ValueError):
        files.archive_out(io.BytesIO())

    class Full:
        def write(self, data):
            raise LookupError("full")

    with pytest.raises(LookupError, match="full"):
        files.archive_out(Full(), format="tar.gz")


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_object_that_takes_little_at_a_time_gets_all(files, format):
    class Slow(io.RawIOBase):
        def __init__(self):
            self.taken = bytearray()

        def writable(self):
            return True

        def write(self, data):
            self.taken += data[:1000]
            return min(len(data), 1000)

    fs = files.write("large", os.urandom(100_000))
    slow, whole = Slow(), io.BytesIO()
    assert fs.archive_out(slow, format=format) == fs.archive_out(whole, format=format) == 8
    assert bytes(slow.taken) == whole.getvalue()


@pytest.mark.parametrize(
    ("names", "mode"),
    [
        (["tgz", "tar.gz", ".tgz", "TGZ", "gztar"], "r:gz"),
        (["tbz2", "tbz", "tar.bz2", "bztar"], "r:bz2"),
        (["txz", "tar.xz", "xztar"], "r:xz"),
        (["tar"], "r:"),
    ],
)
def test_formats_have_their_usual_names(files, tmp_path, names, mode):
    for name in names:
        out = io.BytesIO()
        files.archive_out(out, format=name)
        out.seek(0)
        with tarfile.open(fileobj=out, mode=mode) as tar:
            assert "a.txt" in tar.getnames()
        out.seek(0)
        assert files.archive_in(out, format=name) is files
    (tmp_path / "odd").write_bytes(out.getvalue())
    assert files.archive_in(tmp_path / "odd", "below", format=names[0], dry_run=True) is files


def test_zips_of_other_methods(fs, tmp_path):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
            archive.writestr("text", f"{method} " * 1000)
            archive.writestr("empty", "")
        fs = fs.archive_in(tmp_path / "a.zip")
        assert fs.read_text("text") == f"{method} " * 1000 and fs.read("empty") == b""


def test_a_dry_run_says_what_the_archive_would_change(store, files, tmp_path):
    files.archive_out(tmp_path / "a.zip", "dir")
    other = store.branches.set("other", files).apply({"b.txt": b"old", "sub": b"file"})
    assert other.archive_in(tmp_path / "a.zip", dry_run=True) is other
    dry = other.changes
    assert [entry.path for entry in dry.delete] == ["sub"] and dry.total == 3
    assert store.branches["other"].commit_hash == other.commit_hash
    assert other.archive_in(tmp_path / "a.zip").changes == dry
    assert store.tags.set("v1", files).archive_in(tmp_path / "a.zip", "x", dry_run=True).changes.total == 2


def test_what_is_refused(fs, tmp_path):
    with pytest.raises(ValueError):
        fs.archive_out(tmp_path / "name.rar")
    with pytest.raises(ValueError):
        fs.archive_out(tmp_path / "name.zip", format="rar")
    with pytest.raises(FileNotFoundError):
        fs.archive_in(tmp_path / "nope.zip")
    empty, evil = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w"):
        pass
    with tarfile.open(fileobj=evil, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    for archive in (empty, evil):
        archive.seek(0)
        with pytest.raises(ValueError):
            fs.archive_in(archive, format="tar")
    assert fs.store.branches["main"].commit_hash == fs.commit_hash
