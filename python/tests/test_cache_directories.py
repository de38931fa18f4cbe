"""Directories of this machine in packhouse.cache."""

import os
import subprocess

from cache_site import commit, config, good, manager


def test_a_local_repository_is_cached_with_its_commits(manager, tmp_path):
    work = tmp_path / "work"
    subprocess.run(["git", "init", "-q", "-b", "main", str(work)], check=True)
    (work / "a.txt").write_text("a")
    empty = good(manager.cache_repository(str(work)))
    assert empty.cache_type == "local" and empty.source_url == str(work)
    id = commit(work, {"a.txt": "b"})
    entry = good(manager.refresh_cache_entry("work"))
    assert (entry.local_commit_hash, entry.local_branch) == (id, "main")
    assert (entry.cache_path / "a.txt").read_text() == "b"


def test_a_plain_directory_is_cached_and_followed(manager, tmp_path):
    source = tmp_path / "project"
    (source / "src").mkdir(parents=True)
    (source / "src/main.py").write_text("print()\n")
    (source / "old.txt").write_text("old")
    entry = good(manager.cache_repository(str(source), name="my-project"))
    assert (entry.name, entry.cache_type) == ("my-project", "local")
    assert (entry.cache_path / "src/main.py").read_text() == "print()\n"
    (source / "old.txt").unlink()
    (source / "new.txt").write_text("new")
    good(manager.refresh_cache_entry("my-project"))
    assert sorted(os.listdir(entry.cache_path)) == ["new.txt", "src"]
    (entry.cache_path / "src/main.py").write_text("changed here")
    assert (source / "src/main.py").read_text() == "print()\n"


def test_the_cache_is_no_source_of_itself(manager, tmp_path, monkeypatch):
    root = manager.config.cache_root
    for source in (root, tmp_path, "/"):
        result = manager.cache_repository(str(source), name="loop")
        assert isinstance(result, Exception) and "Invalid source" in str(result)
    monkeypatch.chdir(tmp_path)
    assert isinstance(manager.cache_repository("."), Exception)
    assert not (root / "loop").exists()
