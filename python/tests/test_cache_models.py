"""The models of packhouse.cache: fields, defaults, and the age of entries."""

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cache_site import config
from pydantic import ValidationError

from packhouse.cache import CacheStatus, CacheType, GitCacheConfig, GitCacheEntry


def test_an_entry_has_the_fields_and_defaults_of_the_specification():
    before = datetime.now()
    entry = GitCacheEntry(name="a", source_url="u", cache_type=CacheType.GIT, cache_path="/x/a")
    assert list(GitCacheEntry.model_fields) == (
        "name source_url cache_type cache_path created_at last_updated last_accessed size_bytes status error_message "
        "metadata local_commit_hash local_branch remote_commit_hash remote_branch has_upstream_changes "
        "upstream_changes_summary last_diff_check"
    ).split()
    assert type(entry.cache_type) is str and entry.cache_type == "git"
    assert entry.cache_path == Path("/x/a") and entry.status is CacheStatus.FRESH
    assert before <= entry.created_at <= datetime.now() and entry.created_at.tzinfo is None
    assert entry.metadata == {} and entry.size_bytes is None
    with pytest.raises(ValidationError):
        GitCacheEntry(name="a", source_url="u", cache_type="git", cache_path="/x", other=1)


def test_a_configuration_has_the_fields_and_defaults_of_the_specification(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = GitCacheConfig()
    assert list(GitCacheConfig.model_fields) == (
        "cache_root default_timeout_minutes max_cache_size_gb enable_async git_config provider_config entries"
    ).split()
    assert config.cache_root == Path("./.metagit/.cache") and not config.cache_root.exists()
    assert config.default_timeout_minutes == 60 and config.max_cache_size_gb == 10.0 and config.enable_async
    assert GitCacheConfig(cache_root=str(tmp_path / "new/cache")).cache_root.is_dir()
    with pytest.raises(ValueError, match="Timeout must be positive"):
        GitCacheConfig(default_timeout_minutes=0)
    for size in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Max cache size must be positive"):
            GitCacheConfig(max_cache_size_gb=size)


@pytest.fixture
def berlin(monkeypatch):
    """Where clocks are put back an hour on the 25th of October 2026, at 01:00 UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("minutes, stale", [(30, False), (59, False), (61, True), (90, True)])
def test_clocks_that_are_put_back_change_no_age(config, berlin, monkeypatch, minutes, stale):
    now = datetime(2026, 10, 25, 1, 10, tzinfo=timezone.utc).timestamp()

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(now)

    monkeypatch.setattr("packhouse.cache.config.datetime", Clock)
    updated = datetime.fromtimestamp(now - minutes * 60)
    assert datetime.fromtimestamp(now) - updated != timedelta(minutes=minutes)  # as the clocks on the wall tell it
    entry = GitCacheEntry(name="a", source_url="u", cache_type="git", cache_path="/x", last_updated=updated)
    assert config.is_entry_stale(entry) is stale


def test_times_far_off_have_an_age(config):
    entry = GitCacheEntry(name="a", source_url="u", cache_type="git", cache_path="/x", last_updated=datetime.min)
    assert config.is_entry_stale(entry)
    entry.last_updated = datetime.max
    assert not config.is_entry_stale(entry)


def test_a_configuration_keeps_entries(config, tmp_path):
    entry = GitCacheEntry(name="a", source_url="u", cache_type="git", cache_path="/x", size_bytes=1 << 30)
    config.add_entry(entry)
    assert config.get_entry("a") is entry and config.list_entries() == [entry]
    assert config.get_cache_size_gb() == 1.0 and not config.is_cache_full()
    config.max_cache_size_gb = 1.0
    assert config.is_cache_full() and not config.is_entry_stale(entry)
    entry.last_updated = datetime.now() - timedelta(hours=2)
    assert config.is_entry_stale(entry)
    assert config.remove_entry("a") and not config.remove_entry("a") and config.get_entry("a") is None
    assert config.get_cache_path("a") == tmp_path / "cache/a"
