"""packhouse.cache, by its specification: the models, the manager, and each defect that the specification lists."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import git_http
import pytest
from pydantic import ValidationError

from packhouse.cache import (
    CacheError,
    CacheStatus,
    CacheType,
    GitCacheConfig,
    GitCacheEntry,
    GitCacheManager,
)
from packhouse.cache.providers import BasicProvider, GitHubProvider, GitLabProvider, TokenProvider


def git(path, *arguments):
    done = subprocess.run(["git", "-C", str(path), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(work, files, message="Change"):
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", message)
    return git(work, "rev-parse", "HEAD")


class Remote:
    """A bare repository that a site serves, and a working copy to change it from."""

    def __init__(self, site, name):
        self.url = f"{site.url}/{name}.git"
        self.path = site.folder / f"{name}.git"
        self.work = site.folder / f"{name}-work"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.path)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.work)], check=True)
        git(self.work, "remote", "add", "origin", str(self.path))
        self.commit({"README.md": f"{name}\n"})

    def commit(self, files, message="Change"):
        id = commit(self.work, files, message)
        git(self.work, "push", "-q", "--force", "origin", "HEAD")
        return id


@pytest.fixture
def site(tmp_path):
    with git_http.serving(tmp_path / "site") as serving:
        yield serving


@pytest.fixture
def remote(site):
    return Remote(site, "team/repo")


@pytest.fixture
def config(tmp_path):
    return GitCacheConfig(cache_root=tmp_path / "cache")


@pytest.fixture
def manager(config):
    return GitCacheManager(config)


def good(result):
    assert not isinstance(result, Exception), result
    return result


# The models.


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


# Repositories.


def test_a_repository_is_cached_and_followed(manager, remote, site):
    entry = good(manager.cache_repository(remote.url))
    assert (entry.name, entry.source_url, entry.cache_type, entry.status) == ("repo", remote.url, "git", "fresh")
    assert entry.cache_path == manager.config.get_cache_path("repo")
    assert (entry.cache_path / "README.md").read_text() == "team/repo\n"
    assert entry.local_commit_hash == entry.remote_commit_hash == git(remote.work, "rev-parse", "HEAD")
    assert entry.local_branch == entry.remote_branch == "main" and entry.has_upstream_changes is False
    assert git(entry.cache_path, "status", "--porcelain") == "" and git(entry.cache_path, "fsck", "--full") == ""
    assert entry.size_bytes > 0 and entry.error_message is None

    fetched = len(site.fetches())
    again = good(manager.cache_repository(remote.url))
    assert len(site.fetches()) == fetched and again.last_updated >= entry.last_updated

    id = remote.commit({"new.txt": "new\n"}, "More")
    changed = good(manager.refresh_cache_entry("repo"))
    assert changed.local_commit_hash == id and (changed.cache_path / "new.txt").read_text() == "new\n"
    assert good(manager.get_cached_repository("repo")) == entry.cache_path


def test_a_force_push_and_another_default_branch_are_followed(manager, remote):
    entry = good(manager.cache_repository(remote.url))
    git(remote.work, "commit", "-q", "--amend", "-m", "Rewritten")
    git(remote.work, "push", "-q", "--force", "origin", "main")
    entry = good(manager.refresh_cache_entry("repo"))
    assert entry.local_commit_hash == git(remote.work, "rev-parse", "HEAD")
    git(remote.work, "switch", "-q", "-c", "trunk")
    id = remote.commit({"trunk.txt": "x"})
    git(remote.path, "symbolic-ref", "HEAD", "refs/heads/trunk")
    git(remote.path, "branch", "-D", "main")
    entry = good(manager.refresh_cache_entry("repo"))
    assert (entry.local_branch, entry.local_commit_hash) == ("trunk", id)


def test_entries_outlive_the_process(manager, remote, config, tmp_path):
    made = good(manager.cache_repository(remote.url))
    code = (
        "import sys; from packhouse.cache import *; m = GitCacheManager(GitCacheConfig(cache_root=sys.argv[1]));"
        "print([(e.name, e.status, e.local_commit_hash) for e in m.config.list_entries()], m.list_cache_entries()[0].name)"
    )
    other = subprocess.run([sys.executable, "-c", code, str(config.cache_root)], capture_output=True, text=True)
    assert other.stdout == f"[('repo', 'fresh', '{made.local_commit_hash}')] repo\n", other.stderr
    second = GitCacheManager(GitCacheConfig(cache_root=config.cache_root))
    assert second.list_cache_entries()[0].created_at == made.created_at


def test_repositories_of_one_name_never_meet(manager, site):
    ours, theirs = Remote(site, "ours/repo"), Remote(site, "theirs/repo")
    first, second = good(manager.cache_repository(ours.url)), good(manager.cache_repository(theirs.url))
    assert first.name == "repo" and second.name != "repo"
    assert (first.cache_path / "README.md").read_text() == "ours/repo\n"
    assert (second.cache_path / "README.md").read_text() == "theirs/repo\n"
    assert good(manager.cache_repository(theirs.url)).name == second.name
    refused = manager.cache_repository(theirs.url, name="repo")
    assert isinstance(refused, CacheError) and ours.url in str(refused)
    assert (first.cache_path / "README.md").read_text() == "ours/repo\n"


def test_a_failed_copy_is_an_error_and_not_fresh(manager, site, remote):
    site.down = True
    failed = manager.cache_repository(remote.url)
    assert isinstance(failed, Exception)
    (entry,) = manager.list_cache_entries()
    assert entry.status == "error" and entry.error_message
    assert isinstance(manager.get_cached_repository("repo"), Exception)
    assert manager.get_cache_stats()["error_entries"] == 1
    assert isinstance(manager.cache_repository(remote.url), Exception)
    site.down = False
    assert good(manager.cache_repository(remote.url)).status == "fresh"
    assert manager.list_cache_entries()[0].error_message is None


def test_the_last_good_copy_is_served_while_the_remote_is_down(manager, site, remote):
    good(manager.cache_repository(remote.url))
    site.down = True
    assert isinstance(manager.refresh_cache_entry("repo"), Exception)
    (entry,) = manager.list_cache_entries()
    assert entry.status == "error" and "503" in entry.error_message
    path = good(manager.get_cached_repository("repo"))
    assert (path / "README.md").exists() and manager.list_cache_entries()[0].status == "error"


def test_what_is_listed_is_what_the_cache_has_whoever_changed_the_entry(manager, site, remote, tmp_path):
    made = good(manager.cache_repository(remote.url))
    made.status, made.metadata["owner"] = "error", "me"
    (listed,) = manager.list_cache_entries()
    assert listed.status == "fresh" and listed.metadata["owner"] == "me"
    assert manager.list_cache_entries()[0] is listed and made.status == "error"
    site.down = True
    assert isinstance(manager.refresh_cache_entry("repo"), Exception)
    assert manager.list_cache_entries()[0].status == "error" and listed.status == "fresh"
    manager.config.cache_root = tmp_path / "elsewhere"
    assert manager.list_cache_entries() == []


def test_one_copy_for_callers_at_once(manager, site, remote):
    site.delay = 0.05
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(manager.cache_repository(remote.url))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {good(entry).local_commit_hash for entry in results} == {git(remote.work, "rev-parse", "HEAD")}
    assert len(site.fetches()) == 1


def test_an_entry_that_is_older_than_the_timeout_is_stale(manager, remote):
    entry = good(manager.cache_repository(remote.url))
    manager.config.default_timeout_minutes = 0  # only what is given to the constructor is checked
    time.sleep(0.01)
    assert [found.status for found in manager.list_cache_entries()] == ["stale"]
    assert manager.get_cache_stats()["stale_entries"] == 1
    assert manager.get_cache_entry_details("repo")["is_stale"] is True
    assert good(manager.get_cached_repository("repo")) == entry.cache_path
    manager.config.default_timeout_minutes = 60
    assert [found.status for found in manager.list_cache_entries()] == ["fresh"]


def test_an_entry_whose_files_are_gone_is_missing(manager, remote):
    entry = good(manager.cache_repository(remote.url))
    shutil.rmtree(entry.cache_path)
    assert [found.status for found in manager.list_cache_entries()] == ["missing"]
    assert manager.get_cache_stats()["missing_entries"] == 1
    missing = manager.get_cached_repository("repo")
    assert isinstance(missing, Exception) and "Cache path does not exist" in str(missing)
    assert manager.config.get_entry("repo").status == "missing"
    details = good(manager.get_cache_entry_details("repo"))
    assert details["exists"] is False and details["status"] == "missing"
    again = good(manager.refresh_cache_entry("repo"))
    assert again.status == "fresh" and (again.cache_path / "README.md").exists()


def test_sizes_are_kept_and_not_measured_again(manager, remote):
    entry = good(manager.cache_repository(remote.url))
    before = manager.get_cache_stats()["total_size_bytes"]
    (entry.cache_path / "beside.bin").write_bytes(bytes(1 << 20))
    assert manager.get_cache_stats()["total_size_bytes"] == before
    assert manager.list_cache_entries()[0].size_bytes == entry.size_bytes


@pytest.mark.parametrize("name", ["../victim", "", ".", "..", "/abs", "a/b", "a\0b", "n" * 300, ".git"])
def test_names_that_lead_elsewhere_are_refused(manager, remote, tmp_path, name):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    assert isinstance(manager.cache_repository(remote.url, name=name), Exception)
    assert isinstance(manager.remove_cache_entry(name), Exception)
    assert (victim / "kept").exists() and manager.list_cache_entries() == []


def test_what_the_cache_did_not_make_is_left_alone(manager, remote, tmp_path):
    mine = manager.config.cache_root / "repo"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    entry = good(manager.cache_repository(remote.url))
    assert entry.name != "repo"
    assert isinstance(manager.cache_repository(remote.url, name="repo"), Exception)
    outside = tmp_path / "outside"
    outside.mkdir()
    manager.config.add_entry(GitCacheEntry(name="o", source_url="u", cache_type="git", cache_path=outside))
    assert {found.name: found.status for found in manager.list_cache_entries()}["o"] == "fresh"
    assert manager.remove_cache_entry("o") is True and manager.config.get_entry("o") is None
    assert manager.clear_cache() is True
    assert (mine / "thesis.txt").read_text() == "years" and outside.is_dir() and not entry.cache_path.exists()


@pytest.mark.parametrize("source", ["", "nothing", "/non/existent/path", "ftp://host/x", "http://", "-x"])
def test_sources_that_are_none(manager, source):
    result = manager.cache_repository(source)
    assert isinstance(result, Exception) and "Invalid source" in str(result), result


def test_refused_credentials_and_missing_repositories_are_named(manager, site, remote):
    site.password = "sesame"
    refused = manager.cache_repository(remote.url)
    assert isinstance(refused, Exception) and "Authentication failed" in str(refused)
    host = remote.url.split("/")[2]
    manager.register_provider(BasicProvider(host, "reader", "wrong"))
    assert "Authentication failed" in str(manager.cache_repository(remote.url))
    manager.register_provider(BasicProvider(host, "reader", "sesame"))
    entry = good(manager.cache_repository(remote.url))
    missing = manager.cache_repository(f"{site.url}/no/such.git")
    assert isinstance(missing, Exception) and "Repository not found" in str(missing)
    for folder, _, files in os.walk(manager.config.cache_root):
        for file in files:
            assert b"sesame" not in Path(folder, file).read_bytes()
    assert "sesame" not in repr(manager.config) + repr(entry) + repr(manager._providers)


def test_credentials_in_a_url_are_used_and_kept_nowhere(manager, site, remote):
    site.password = "sesame"
    entry = good(manager.cache_repository(remote.url.replace("://", "://reader:sesame@")))
    assert entry.source_url == remote.url and "sesame" not in git(entry.cache_path, "config", "-l")
    good(manager.refresh_cache_entry(entry.name))


def test_settings_of_git_apply(config, site, remote):
    config.git_config = {"http.extraheader": "X-Team: packers", "user.name": "Ada"}
    entry = good(GitCacheManager(config).cache_repository(remote.url))
    assert all(headers.get("X-Team") == "packers" for headers in site.headers)
    assert git(entry.cache_path, "config", "user.name") == "Ada"
    assert "packers" not in git(entry.cache_path, "config", "-l")


def test_the_limit_is_kept_and_the_least_used_goes(config, manager, site):
    for number in range(3):
        remote = Remote(site, f"big/r{number}")
        remote.commit({"data.bin": os.urandom(300_000).hex()})
        if number == 2:
            config.max_cache_size_gb = 2.6 * manager.list_cache_entries()[0].size_bytes / 1024**3
            good(manager.get_cached_repository("r0"))
        good(manager.cache_repository(remote.url))
    assert [entry.name for entry in manager.list_cache_entries()] == ["r0", "r2"]
    assert not (config.cache_root / "r1").exists() and not manager.get_cache_stats()["cache_full"]


def test_a_leased_entry_stays(manager, remote):
    good(manager.cache_repository(remote.url))
    with manager.lease("repo") as path:
        assert isinstance(manager.remove_cache_entry("repo"), CacheError) and (path / "README.md").exists()
        assert isinstance(manager.clear_cache(), CacheError) and (path / "README.md").exists()
    assert manager.clear_cache() is True and manager.list_cache_entries() == []


def test_details(manager, site, remote):
    good(manager.cache_repository(remote.url))
    details = good(manager.get_cache_entry_details("repo"))
    assert list(details)[:13] == (
        "name source_url cache_type cache_path created_at last_updated last_accessed size_bytes size_mb status "
        "error_message exists is_stale"
    ).split()
    assert details["exists"] is True and details["local_branch"] == "main" and details["is_stale"] is False
    assert "current_remote_commit_hash" not in details  # asked just before

    # As if that had been long ago.
    with sqlite3.connect(manager.config.cache_root / ".packhouse/index.sqlite3") as catalog:
        catalog.execute("UPDATE entries SET record = json_remove(record, '$.remote')")
    catalog.close()
    id = remote.commit({"new.txt": "new\n"}, "More")
    details = good(manager.get_cache_entry_details("repo"))
    assert details["current_remote_commit_hash"] == id != details["current_local_commit_hash"]
    assert details["current_local_branch"] == details["current_remote_branch"] == "main"
    assert details["current_has_upstream_changes"] is True
    summary = "Remote is 1 commits ahead, local is 0 commits ahead. Latest remote commit: "
    assert details["current_upstream_changes_summary"].startswith(summary)
    assert datetime.fromisoformat(details["diff_check_timestamp"]) <= datetime.now()
    site.down = True
    with sqlite3.connect(manager.config.cache_root / ".packhouse/index.sqlite3") as catalog:
        catalog.execute("UPDATE entries SET record = json_remove(record, '$.remote')")
    catalog.close()
    details = good(manager.get_cache_entry_details("repo"))
    assert "503" in details["diff_check_error"] and details["exists"] is True
    assert str(manager.get_cache_entry_details("none")) == "Cache entry not found: none"
    assert str(manager.get_cached_repository("none")) == "Cache entry not found: none"
    assert str(manager.refresh_cache_entry("none")) == "Cache entry not found: none"
    assert str(manager.remove_cache_entry("none")) == "Cache entry not found: none"


def test_statistics(manager, remote, tmp_path):
    (tmp_path / "plain").mkdir()
    good(manager.cache_repository(remote.url))
    good(manager.cache_repository(tmp_path / "plain"))
    stats = manager.get_cache_stats()
    size = stats.pop("total_size_bytes")
    assert size > 0 and stats.pop("total_size_gb") == size / 1024**3
    assert stats == {
        "total_entries": 2,
        "git_entries": 1,
        "local_entries": 1,
        "fresh_entries": 2,
        "stale_entries": 0,
        "missing_entries": 0,
        "error_entries": 0,
        "max_size_gb": 10.0,
        "cache_full": False,
    }


def test_checkouts(manager, remote):
    first = git(remote.work, "rev-parse", "HEAD")
    git(remote.work, "tag", "v1")
    git(remote.work, "push", "-q", "origin", "v1")
    remote.commit({"README.md": "newer\n"})
    good(manager.cache_repository(remote.url))
    old, new = good(manager.checkout("repo", "v1")), good(manager.checkout("repo"))
    assert old.commit == first and (old.path / "README.md").read_text() == "team/repo\n"
    assert (new.path / "README.md").read_text() == "newer\n" and git(new.path, "status", "--porcelain") == ""
    assert {made.id for made in good(manager.list_checkouts("repo"))} == {old.id, new.id}
    assert manager.remove_checkout(old) is True and not old.path.exists() and new.path.exists()
    assert isinstance(manager.checkout("repo", "no-such"), CacheError)


# Directories.


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


# The event loop.


def run(call):
    """What ``call`` returns, and how often the loop went round meanwhile."""
    ticks = 0

    async def count():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.002)
            ticks += 1

    async def both():
        counting = asyncio.create_task(count())
        try:
            return await call()
        finally:
            counting.cancel()

    return asyncio.run(both()), ticks


def test_the_loop_goes_on(manager, site, remote):
    site.delay = 0.1
    (entry, other), ticks = run(
        lambda: asyncio.gather(
            manager.cache_repository_async(remote.url), manager.cache_repository_async(remote.url)
        )
    )
    assert good(entry).status == "fresh" and good(other).name == "repo" and ticks > 20
    results, ticks = run(lambda: asyncio.gather(*(manager.refresh_cache_entry_async("repo") for _ in range(4))))
    assert all(good(entry).status == "fresh" for entry in results) and ticks > 10
    made, _ = run(lambda: manager.checkout_async("repo"))
    assert good(made).path.is_dir()


def test_a_cancelled_copy_ends_and_leaves_nothing(manager, site, remote):
    site.delay = 20

    async def cancelled():
        task = asyncio.create_task(manager.cache_repository_async(remote.url))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    begun = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - begun < 3 and not (manager.config.cache_root / "repo").exists()
    site.delay = 0.0
    good(manager.cache_repository(remote.url))


def test_who_waits_for_a_copy_that_another_cancels_gets_it(manager, site, remote):
    site.delay = 20

    async def both():
        first = asyncio.create_task(manager.cache_repository_async(remote.url))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(manager.cache_repository_async(remote.url))
        await asyncio.sleep(0.1)
        first.cancel()
        site.delay = 0
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert good(asyncio.run(both())).status == "fresh"


def test_coroutines_can_be_switched_off(config, remote):
    config.enable_async = False
    manager = GitCacheManager(config)
    result, _ = run(lambda: manager.cache_repository_async(remote.url))
    assert isinstance(result, Exception) and "enable_async" in str(result)
    good(manager.cache_repository(remote.url))


# What programs replace and look into.


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


# Providers.


def test_providers_know_their_urls_and_credentials():
    github, gitlab = GitHubProvider("t1"), GitLabProvider("t2")
    for url in (
        "https://github.com/o/r.git",
        "https://me@GitHub.com:443/o/r.git",
        "git@github.com:o/r.git",
        "ssh://git@github.com:22/o/r",
    ):
        assert github.can_handle_url(url) and github.supports_url(url) and not gitlab.can_handle_url(url)
        info = github.extract_repo_info(url)
        assert info == {"owner": "o", "repo": "r", "api_url": "https://api.github.com/repos/o/r"}
    assert not github.can_handle_url("https://github.com:8443/o/r")
    assert not github.can_handle_url("https://github.com.evil.example/o/r")
    assert not github.can_handle_url("https://evil.example/github.com/o/r")
    assert github.get_credentials("https://github.com/o/r") == ("x-access-token", "t1")
    assert "t1" not in repr(github) + repr(github.get_credentials("https://github.com/o/r"))
    assert gitlab.extract_repo_info("https://gitlab.com/a/b/c.git")["owner"] == "a/b"
    assert GitLabProvider("t", "https://git.example.com/api/v4").can_handle_url("https://git.example.com/a/b")
    with pytest.raises(ValueError):
        github.extract_repo_info("https://gitlab.com/a/b")
    assert TokenProvider("git.example.com", "t").get_credentials("https://git.example.com/x")[1] == "t"


def test_providers_come_from_the_configuration(config):
    config.provider_config = {"github": {"api_token": "t"}, "gitlab": {"api_token": "u", "enabled": False}}
    assert list(GitCacheManager(config)._providers) == ["GitHub"]
    config.provider_config = {"forge": {}}
    with pytest.raises(ValueError, match="forge"):
        GitCacheManager(config)


def test_a_provider_asked_only_for_its_urls(manager, site, remote):
    asked = []

    class Watching(BasicProvider):
        def get_credentials(self, url):
            asked.append(url)
            return super().get_credentials(url)

    manager.register_provider(Watching("elsewhere.example", "reader", "sesame"))
    site.password = "sesame"
    assert isinstance(manager.cache_repository(remote.url), Exception) and asked == []


def test_tokens_go_over_no_open_network():
    token = TokenProvider("git.example.com", "t")
    assert token.get_credentials("https://git.example.com/x") and not token.get_credentials("http://git.example.com/x")
    assert GitHubProvider("t").get_credentials("http://github.com/o/r") is None
    own = GitLabProvider("t", "http://git.example.com")
    assert own.get_credentials("http://git.example.com/a/b") == ("oauth2", "t")


def test_a_token_for_an_api_follows_no_redirect_to_another_host():
    with git_http.redirecting("http://127.0.0.2:9/elsewhere") as url:
        answer = GitHubProvider("t", url).get_repository_metadata("o", "r")
    assert isinstance(answer, Exception) and "127.0.0.2:9" in str(answer)
