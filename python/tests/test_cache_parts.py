"""What programs replace of packhouse.cache, and look into."""

from pathlib import Path

from cache_site import config, git, good, manager, remote, run, site

from packhouse.cache import GitCacheManager


def test_the_parts_can_be_replaced(manager, monkeypatch, tmp_path):
    async def imitated(self, url, path, **options):
        return True

    monkeypatch.setattr(GitCacheManager, "_clone_repository_async", imitated)
    entry, _ = run(lambda: manager.cache_repository_async("https://github.com/test/repo.git"))
    assert (entry.name, entry.source_url, entry.cache_type) == ("repo", "https://github.com/test/repo.git", "git")
    assert entry.status == "missing"  # there are no files


def test_names_and_kinds_of_sources(manager, tmp_path):
    for source, name in {
        "https://github.com/test/repo.git": "repo",
        "https://github.com/test/repo": "repo",
        "https://github.com/test/repo.git/": "repo",
        "git@github.com:team/tool.git": "tool",
        "/path/to/directory": "directory",
    }.items():
        assert manager._generate_cache_name(source) == name
    for url in ("https://h/r.git", "http://h/r", "git://h/r", "ssh://git@h/r"):
        assert manager._is_git_url(url)
    assert not manager._is_git_url("/path") and not manager._is_git_url("file:///path")
    assert manager._is_local_path(str(tmp_path)) and not manager._is_local_path("/non/existent")


def test_the_parts_work_by_themselves(manager, remote, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "test.txt").write_text("content")
    assert manager._copy_local_directory(source, tmp_path / "copy") is True
    assert (tmp_path / "copy/test.txt").read_text() == "content"
    assert isinstance(manager._copy_local_directory(Path("/non/existent"), tmp_path / "other"), Exception)
    assert isinstance(manager._copy_local_directory(source, tmp_path / "copy"), Exception)
    assert manager._calculate_directory_size(source) == 7
    assert manager._clone_repository(remote.url, tmp_path / "clone") is True
    assert git(tmp_path / "clone", "status", "--porcelain") == ""
    assert isinstance(manager._clone_repository(remote.url + "x", tmp_path / "none"), Exception)
    good(manager._clone_repository(remote.url, manager.config.get_cache_path("mine")))
    remote.commit({"x": "x"})
    assert manager._pull_updates(manager.config.get_cache_path("mine")) is True
    info = manager._check_repository_differences(manager.config.get_cache_path("mine"))
    assert info["has_changes"] is False and info["local_info"]["commit_hash"] == info["remote_info"]["commit_hash"]
