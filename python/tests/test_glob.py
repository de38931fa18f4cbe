"""Globbing in a snapshot and on the local disk: the same rules."""

import glob
import os

import pytest

from packhouse.store import disk_glob

TREE = [
    "a.txt",
    "b.TXT",
    "c.py",
    ".hidden",
    "dir/a.txt",
    "dir/.dot",
    "dir/sub/a.txt",
    "dir/sub/deep/z.py",
    ".config/a.txt",
    "[x]",
]

CASES = [
    ("*.txt", ["a.txt"]),
    ("*", ["[x]", "a.txt", "b.TXT", "c.py", "dir"]),
    (".*", [".config", ".hidden"]),
    ("?.py", ["c.py"]),
    ("*.[pt]*", ["a.txt", "c.py"]),
    ("[ab].txt", []),
    ("[x]", ["[x]"]),
    ("dir/*", ["dir/a.txt", "dir/sub"]),
    ("dir/.*", ["dir/.dot"]),
    ("*/a.txt", ["dir/a.txt"]),
    ("*/*", ["dir/a.txt", "dir/sub"]),
    (".config/*", [".config/a.txt"]),
    ("**/a.txt", ["a.txt", "dir/a.txt", "dir/sub/a.txt"]),
    ("dir/**/*.py", ["dir/sub/deep/z.py"]),
    ("dir/**", ["dir/a.txt", "dir/sub", "dir/sub/a.txt", "dir/sub/deep", "dir/sub/deep/z.py"]),
    ("**/z.py", ["dir/sub/deep/z.py"]),
    ("a.txt", ["a.txt"]),
    ("a.txt/*", []),
    ("nope", []),
    ("nope/*", []),
    ("", []),
    ("/dir/*/", ["dir/a.txt", "dir/sub"]),
    ("dir/./*", ["dir/./a.txt", "dir/./sub"]),
]


@pytest.fixture
def tree(fs):
    return fs.apply({path: path.encode() for path in TREE})


@pytest.mark.parametrize("pattern, found", CASES)
def test_glob(tree, pattern, found):
    assert tree.glob(pattern) == found
    assert sorted(tree.iglob(pattern)) == found


def test_iglob_is_lazy(tree):
    found = tree.iglob("**/*.txt")
    assert iter(found) is found and next(found).endswith(".txt")


@pytest.mark.parametrize("pattern, found", CASES)
def test_disk_glob(tmp_path, monkeypatch, pattern, found):
    for path in TREE:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    monkeypatch.chdir(tmp_path)
    relative = pattern.lstrip("/")
    assert disk_glob(relative) == found
    if relative:
        assert disk_glob(f"{tmp_path}/{relative}") == [f"{tmp_path}/{path}" for path in found]


def test_disk_glob_takes_path_objects_and_any_bytes(tmp_path):
    name = os.fsdecode(b"\xff.bin")
    (tmp_path / name).write_text("x")
    assert disk_glob(tmp_path / "*.bin") == [str(tmp_path / name)]


def test_disk_glob_finds_links_that_lead_nowhere(tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/dangling").symlink_to("nowhere")
    for pattern in ("dir/dangling", "dir/*", "*/dangling", "dir/dang*", "**/dangling", "dir/dangling/x"):
        found = sorted(glob.glob(f"{tmp_path}/{pattern}", recursive=True))
        assert disk_glob(f"{tmp_path}/{pattern}") == found
