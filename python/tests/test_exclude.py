"""Excludes follow the rules of .gitignore."""

import subprocess

import pytest

from packhouse.store import ExcludeFilter


def test_nothing_is_excluded_without_patterns():
    exclude = ExcludeFilter()
    assert not exclude.active and not exclude.is_excluded("a")


def test_patterns():
    exclude = ExcludeFilter(patterns=["*.pyc", "/top", "build/", "a/**/z", "!keep.pyc", "doc/*.txt"])
    assert exclude.active
    for path in ("x.pyc", "d/x.pyc", "top", "a/z", "a/b/c/z", "doc/x.txt"):
        assert exclude.is_excluded(path), path
    for path in ("keep.pyc", "d/keep.pyc", "d/top", "build", "doc/d/x.txt", "x.py"):
        assert not exclude.is_excluded(path), path
    assert exclude.is_excluded("build", is_dir=True) and exclude.is_excluded("d/build", is_dir=True)


def test_patterns_from_a_file(tmp_path):
    (tmp_path / "patterns").write_text("# comment\n\n*.log\n!keep.log\n")
    exclude = ExcludeFilter(patterns=["*.tmp"], exclude_from=str(tmp_path / "patterns"))
    assert exclude.is_excluded("a.log") and exclude.is_excluded("a.tmp")
    assert not exclude.is_excluded("keep.log") and not exclude.is_excluded("# comment")
    with pytest.raises(FileNotFoundError):
        ExcludeFilter(exclude_from=tmp_path / "nope")


def test_gitignore_files(tmp_path):
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.gitignore").write_text("!keep.log\nlocal\n")
    exclude = ExcludeFilter(gitignore=True)
    assert exclude.active
    exclude.enter_directory(tmp_path, "")
    exclude.enter_directory(tmp_path / "sub", "sub")
    assert exclude.is_excluded_in_walk("a.log") and exclude.is_excluded_in_walk("sub/a.log")
    assert not exclude.is_excluded_in_walk("sub/keep.log") and exclude.is_excluded_in_walk("keep.log")
    assert exclude.is_excluded_in_walk("sub/local") and not exclude.is_excluded_in_walk("local")
    assert exclude.is_excluded_in_walk(".gitignore")
    assert not exclude.is_excluded("a.log")


def test_copying_leaves_out_what_git_ignores(fs, tmp_path):
    root = tmp_path / "work"
    files = {
        ".gitignore": "*.o\n/build/\n!important.o\n",
        "a.c": "",
        "a.o": "",
        "important.o": "",
        "build/x": "",
        "src/build/y": "",
        "src/.gitignore": "gen*\n!gen.keep\n",
        "src/gen.c": "",
        "src/gen.keep": "",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "-q", root], check=True)
    others = ["git", "-C", root, "ls-files", "--others", "--exclude-standard"]
    wanted = subprocess.run(others, capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["rm", "-rf", root / ".git"], check=True)
    fs = fs.copy_in(f"{root}/", "", exclude=ExcludeFilter(gitignore=True))
    assert sorted(fs.ls(recursive=True)) == sorted(p for p in wanted if ".gitignore" not in p)


def test_one_filter_serves_several_copies(fs, tmp_path):
    for number in (1, 2):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}/.gitignore").write_text(f"{number}\n")
        for name in ("1", "2"):
            (tmp_path / f"d{number}/{name}").write_text("x")
    exclude = ExcludeFilter(gitignore=True)
    fs = fs.copy_in(f"{tmp_path}/d1/", "d1", exclude=exclude)
    fs = fs.copy_in(f"{tmp_path}/d2/", "d2", exclude=exclude)
    assert fs.ls(recursive=True) == ["d1/2", "d2/1"]
