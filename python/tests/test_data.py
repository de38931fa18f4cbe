"""The plain values: file types, entries, reports."""

import dataclasses
import os
import pickle

import pytest

import packhouse.store
from packhouse.store import (
    BlobOid,
    ChangeAction,
    ChangeActionKind,
    ChangeError,
    ChangeReport,
    FileEntry,
    FileType,
    GitError,
    MirrorDiff,
    RefChange,
    ReflogEntry,
    Signature,
    StaleSnapshotError,
    StatResult,
    WalkEntry,
    WriteEntry,
)

NAMES = """
GitStore RefDict ReflogEntry Signature MirrorDiff RefChange resolve_credentials NoteDict NoteNamespace NotesBatch FS
StatResult WriteEntry retry_write StaleSnapshotError Batch BlobOid GitError ChangeReport ChangeAction ChangeActionKind
ChangeError ExcludeFilter FileEntry FileType disk_glob WalkEntry bundle_export bundle_import
""".split()


def test_every_name_of_the_reference_is_public():
    assert sorted(packhouse.store.__all__) == sorted(NAMES)
    for name in NAMES:
        assert hasattr(packhouse.store, name)


@pytest.mark.parametrize(
    "kind, text, mode",
    [
        (FileType.BLOB, "blob", 0o100644),
        (FileType.EXECUTABLE, "executable", 0o100755),
        (FileType.LINK, "link", 0o120000),
        (FileType.TREE, "tree", 0o040000),
    ],
)
def test_a_file_type_is_its_text_and_has_a_mode(kind, text, mode):
    assert kind == text and str(kind) == text and f"{kind}" == text
    assert kind.filemode == mode
    assert FileType.from_filemode(mode) is kind


def test_modes_of_old_programs_are_understood():
    assert FileType.from_filemode(0o100664) is FileType.BLOB
    assert FileType.from_filemode(0o100775) is FileType.EXECUTABLE
    assert FileType.from_filemode(0o160000) is FileType.COMMIT
    with pytest.raises(KeyError):
        FileType.from_filemode(0o644)


def entry(name, mode=0o100644):
    return WalkEntry(name, b"0" * 40, mode)


def test_a_walk_entry_is_a_tuple_of_three():
    name, oid, mode = entry("a.txt")
    assert (name, oid, mode) == ("a.txt", b"0" * 40, 0o100644)
    assert entry("a.txt") == ("a.txt", b"0" * 40, 0o100644)
    assert entry("run", 0o100755).file_type is FileType.EXECUTABLE


def test_a_walk_entry_compares_sorts_hashes_and_prints_as_its_name():
    a, b = entry("a.txt"), entry("b.txt")
    assert a == "a.txt" and "a.txt" == a and a != "b.txt" and a != b
    assert "a.txt" in [a, b] and {a: 1}["a.txt"] == 1 and {a, b} == {"a.txt", "b.txt"}
    assert a < b and a < "b.txt" and b > "a.txt" and a <= a and b >= a
    assert sorted([b, a]) == ["a.txt", "b.txt"]
    assert f"{a} {a!s:>6}" == "a.txt  a.txt" and str([a]) == "['a.txt']"
    assert os.path.join("dir", a) == "dir/a.txt"
    assert pickle.loads(pickle.dumps(a)) == a
    with pytest.raises(TypeError):
        a < 3


def test_reports_are_plain_dataclasses():
    report = ChangeReport(
        add=[FileEntry("b", FileType.BLOB)],
        update=[FileEntry(path="a", type=FileType.LINK, src="/tmp/a")],
        delete=[FileEntry.from_mode("c", 0o100755)],
    )
    assert report == dataclasses.replace(report)
    assert not report.in_sync and report.total == 3
    assert report.delete[0].type is FileType.EXECUTABLE and report.delete[0].src is None
    assert report.actions() == [
        ChangeAction("a", ChangeActionKind.UPDATE),
        ChangeAction("b", ChangeActionKind.ADD),
        ChangeAction(path="c", action=ChangeActionKind.DELETE),
    ]
    report.errors.append(ChangeError(path="d", error="gone"))
    assert ChangeReport().in_sync and ChangeReport().errors == []
    assert ChangeActionKind.ADD == "add" and str(ChangeActionKind.DELETE) == "delete"


def test_mirror_diffs_are_plain_dataclasses():
    diff = MirrorDiff(add=[RefChange("refs/heads/main", new_target="1" * 40)])
    assert not diff.in_sync and diff.total == 1
    assert diff.add[0].old_target is None
    assert MirrorDiff().in_sync and MirrorDiff() == MirrorDiff([], [], [])


def test_the_other_values():
    assert Signature("a", "b").identity == b"a <b>"
    line = ReflogEntry("0" * 40, "1" * 40, "a <b>", 1, "commit: x")
    assert line == ReflogEntry(
        old_sha="0" * 40, new_sha="1" * 40, committer="a <b>", timestamp=1, message="commit: x"
    )
    stat = StatResult(0o100644, FileType.BLOB, 1, "0" * 40, 1, 0.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        stat.size = 2
    assert isinstance(BlobOid(b"0" * 40), bytes)


def test_a_write_entry_has_either_data_or_a_target():
    assert WriteEntry(b"x").data == b"x"
    assert WriteEntry(target="x").target == "x"
    with pytest.raises(ValueError, match="both data and target"):
        WriteEntry(b"x", target="y")
    with pytest.raises(ValueError, match="Must specify either"):
        WriteEntry()
    with pytest.raises(ValueError, match="Cannot specify mode for symlinks"):
        WriteEntry(target="x", mode=0o100644)
    with pytest.raises(dataclasses.FrozenInstanceError):
        WriteEntry(b"x").data = b"y"


def test_errors_are_exceptions_of_the_package():
    for error in (StaleSnapshotError, GitError):
        assert issubclass(error, Exception) and error.__module__ == "packhouse.store"
        assert isinstance(pickle.loads(pickle.dumps(error("x"))), error)
