"""packhouse.cache and repositories: each is copied, followed, listed, kept within the limit and evicted."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from cache_site import Remote, config, git, good, manager, remote, site

from packhouse.cache import CacheError, GitCacheConfig, GitCacheEntry, GitCacheManager
from packhouse.cache.providers import BasicProvider


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


def test_a_folder_in_the_place_of_an_entry_is_handed_out_to_nobody(manager, remote):
    entry = good(manager.cache_repository(remote.url))
    shutil.rmtree(entry.cache_path)
    entry.cache_path.mkdir()
    (entry.cache_path / "theirs").write_text("theirs")
    refused = manager.get_cached_repository("repo")
    assert isinstance(refused, Exception) and "was not made by this cache" in str(refused)
    assert str(entry.cache_path) in str(refused)
    assert manager.config.get_entry("repo").status == "missing"
    assert good(manager.get_cache_entry_details("repo"))["exists"] is False
    assert isinstance(manager.refresh_cache_entry("repo"), Exception)
    assert (entry.cache_path / "theirs").read_text() == "theirs"


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


def test_a_cache_whose_folder_was_removed_begins_anew(manager, remote):
    root = manager.config.cache_root
    good(manager.cache_repository(remote.url))
    shutil.rmtree(root)
    assert manager.list_cache_entries() == []
    again = good(manager.cache_repository(remote.url))
    assert again.status == "fresh" and (again.cache_path / "README.md").exists()
    # Where nothing can be known, what was known is not taken for what is.
    shutil.rmtree(root)
    root.write_text("in the way")
    assert [found.status for found in manager.list_cache_entries()] == ["missing"]
    assert isinstance(manager.cache_repository(remote.url), Exception)
    root.unlink()
    assert good(manager.cache_repository(remote.url)).status == "fresh"


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


@pytest.mark.skipif(sys.platform != "linux", reason="processes are seen on Linux only")
def test_what_a_clear_leaves_is_told(manager, tmp_path, caplog):
    source = tmp_path / "plain"
    source.mkdir()
    (source / "file").write_text("old")
    entry = good(manager.cache_repository(str(source)))
    worker = subprocess.Popen(["sleep", "60"], cwd=entry.cache_path)
    try:
        (source / "file").write_text("newer")
        good(manager.refresh_cache_entry("plain"))
        assert manager.clear_cache() is True
        (left,) = manager.left_in_use
        assert f"process {worker.pid}" in left and left in caplog.text
        assert manager.get_cache_stats()["total_size_bytes"] == len("old")
    finally:
        worker.kill()
        worker.wait()
    assert manager.clear_cache() is True and manager.left_in_use == ()


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


def test_settings_that_do_nothing_are_named_once_and_their_values_never(tmp_path):
    settings = {"user.name": "Ada", "http.sslVerify": "hunter2", "credential.helper": "hunter2"}
    with pytest.warns(UserWarning) as told:
        manager = GitCacheManager(GitCacheConfig(cache_root=tmp_path / "cache", git_config=settings))
        manager.list_cache_entries()
        manager.config.max_cache_size_gb = 1.0
        manager.list_cache_entries()
    assert len(told) == 1
    text = str(told[0].message)
    assert "'http.sslVerify'" in text and "'credential.helper'" in text
    assert "user.name" not in text and "hunter2" not in text
