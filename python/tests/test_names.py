"""Names of every legal byte sequence, through every call that takes or gives one."""

import os

import pytest

from packhouse.fsspec import PackhouseFileSystem
from packhouse.store import ExcludeFilter, FileEntry, FileType, WriteEntry, disk_glob

BYTES = [b"x%cy" % byte for byte in range(1, 256) if byte != ord("/")]
ODD = ["ü".encode(), b" ", b"...", b"-x", b"\xff\xfe", b"\xed\xa0\x80", b"~", b"@{", b"a:b", b"con", b".x\xff"]
NAMES = sorted(os.fsdecode(name) for name in BYTES + ODD)
# So long that no disk takes it.
LONG = "n" * 300


def in_order(names):
    """Names of files in Git's order: by their bytes."""
    return sorted(names, key=os.fsencode)


@pytest.fixture
def named(fs):
    return fs.apply({f"d/{name}": os.fsencode(name) for name in [*NAMES, LONG]})


def test_reading(named, git):
    names = in_order([*NAMES, LONG])
    assert named.ls("d") == names and named.ls(recursive=True) == [f"d/{name}" for name in names]
    assert [entry.name for entry in named.listdir("d")] == names
    assert list(named.walk("d")) == [("d", [], names)]
    assert git("ls-tree", "-z", "--name-only", "main:d").split("\0")[:-1] == names
    shown = [name for name in names if not name.startswith(".")]
    assert sorted(named.glob("d/*")) == sorted(f"d/{name}" for name in shown)
    assert sorted(named.iglob("**/x?y")) == sorted(f"d/{os.fsdecode(name)}" for name in BYTES)
    for name in names:
        path, data = f"d/{name}", os.fsencode(name)
        assert named.read(path) == data and named.exists(path) and named.size(path) == len(data)
        assert named.stat(path).hash == named.object_hash(path) and named.file_type(path) is FileType.BLOB
        with named.open(path) as file:
            assert file.read() == data
    assert [entry.path for entry in named.changes.add] == [f"d/{name}" for name in names]
    assert [fs.hash for fs in named.log(f"d/{NAMES[200]}")] == [named.hash]


def test_writing(fs, git, tmp_path):
    (tmp_path / "local").write_bytes(b"local")
    with fs.batch() as batch:
        for name in NAMES:
            batch.write(f"b/{name}", b"1")
            batch.write_symlink(f"l/{name}", name)
            batch.write_from_file(f"f/{name}", tmp_path / "local")
            with batch.writer(f"w/{name}") as file:
                file.write(b"2")
        for name in NAMES[::2]:
            batch.remove(f"b/{name}")
    fs = batch.fs
    assert fs.ls("b") == in_order(NAMES[1::2]) and fs.ls("f") == fs.ls("w") == in_order(NAMES)
    assert [fs.readlink(f"l/{name}") for name in NAMES] == NAMES
    for name in NAMES[:20] + NAMES[-20:]:
        fs = fs.write(f"one/{name}", b"3").write_text(f"text/{name}", "4").write_symlink(f"link/{name}", name)
        assert fs.changes.add == [FileEntry(f"link/{name}", FileType.LINK)]
        with fs.writer(f"one/{name}") as file:
            file.write(b"5")
        fs = file.fs
    fs = fs.apply({f"w/{name}": WriteEntry(target="x") for name in NAMES}, removes={f"f/{name}" for name in NAMES})
    assert not fs.exists("f") and fs.readlink(f"w/{NAMES[-1]}") == "x"


def test_rearranging(store, named):
    fs = store.branches.set("work", named)
    fs = fs.move([f"d/{name}" for name in NAMES], "moved/")
    assert fs.ls("moved") == in_order(NAMES) and fs.ls("d") == [LONG]
    for name in (NAMES[0], NAMES[100], NAMES[-1]):
        fs = fs.move(f"moved/{name}", f"again/{name}")
        assert fs.read(f"again/{name}") == os.fsencode(name)
    fs = fs.copy_from_ref(named, [f"d/{name}" for name in NAMES], "copied")
    assert fs.ls("copied") == in_order(NAMES)
    fs = fs.remove([f"copied/{name}" for name in NAMES])
    assert not fs.exists("copied")


def test_to_disk_and_back(store, named, tmp_path):
    fs = named.remove(f"d/{LONG}")
    fs.copy_out("d/", tmp_path / "out")
    found = {os.fsdecode(name): None for name in os.listdir(os.fsencode(tmp_path / "out"))}
    assert sorted(found) == NAMES
    for name in NAMES:
        with open(os.path.join(tmp_path / "out", name), "rb") as file:
            assert file.read() == os.fsencode(name)
    assert sorted(disk_glob(tmp_path / "out/x?y")) == sorted(
        os.path.join(tmp_path / "out", os.fsdecode(name)) for name in BYTES
    )
    fs.sync_out("d", tmp_path / "mirror")
    assert fs.sync_out("d", tmp_path / "mirror").changes is None
    assert fs.sync_in(tmp_path / "mirror", "d") is fs
    fs = fs.copy_in([os.path.join(tmp_path / "out", name) for name in NAMES], "in")
    assert fs.object_hash("in") == fs.object_hash("d")
    only = ExcludeFilter(patterns=["*", "!x\udcffy"])
    assert fs.copy_in(f"{tmp_path}/out/", "only", exclude=only).ls("only") == ["x\udcffy"]


def test_in_archives(named, tmp_path):
    named.archive_out(tmp_path / "a.tar", "d")
    fs = named.archive_in(tmp_path / "a.tar", "again")
    assert fs.object_hash("again") == fs.object_hash("d")


def test_in_file_systems(store, named):
    disk = PackhouseFileSystem(store, "main", skip_instance_cache=True)
    assert sorted(disk.ls("d", detail=False)) == sorted(f"d/{name}" for name in [*NAMES, LONG])
    for name in (NAMES[0], "x\udcffy", "x\ny", "x\\y"):
        assert disk.cat_file(f"d/{name}") == os.fsencode(name)
        disk.pipe_file(f"p/{name}", b"1")
        with disk.open(f"q/{name}", "wb") as file:
            file.write(b"2")
        assert disk.cat_file(f"q/{name}") == b"2" and disk.exists(f"p/{name}")
