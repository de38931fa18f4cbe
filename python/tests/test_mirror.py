"""Backup, restore and bundles."""

import os
import pathlib
import subprocess

import pytest

from packhouse.store import (
    GitStore,
    MirrorDiff,
    RefChange,
    bundle_export,
    bundle_import,
    resolve_credentials,
)


@pytest.fixture
def full(store, files):
    """A store with two branches, a tag and a note."""
    store.branches["dev"] = files.parent
    store.tags["v1"] = files
    store.notes.commits[files.commit_hash] = "a note"
    return store


REFS = ["refs/heads/dev", "refs/heads/main", "refs/notes/commits", "refs/tags/v1"]


def refs(git):
    return git("for-each-ref", "--format=%(objectname) %(refname)")


def names(changes):
    return sorted(change.ref for change in changes)


def test_backup_makes_a_mirror(full, git, git_of, tmp_path):
    target = tmp_path / "backup.git"
    diff = full.backup(target)
    assert isinstance(diff, MirrorDiff) and names(diff.add) == REFS and diff.total == 4
    assert diff.update == diff.delete == []
    assert refs(git_of(target)) == refs(git)
    git_of(target).check()
    assert full.backup(str(target)).in_sync


def test_local_paths_are_any_bytes(full, git, git_of, tmp_path):
    for number, name in enumerate([b"\xff.git", b"\xff.bundle"]):
        target = os.path.join(os.fsencode(tmp_path), name)
        forms = [target, os.fsdecode(target), pathlib.Path(os.fsdecode(target))]
        assert names(full.backup(forms[2]).add) == REFS
        assert os.path.exists(target)
        assert full.backup(forms[0], dry_run=True).in_sync
        for form, place in enumerate(forms):
            copy = GitStore.open(tmp_path / f"copy-{number}-{form}.git", create=True)
            copy.restore(place)
            assert refs(git_of(copy.path)) == refs(git)
    with pytest.raises(ValueError, match="UTF-8"):
        full.backup("https://localhost/\udcff")


def test_backup_moves_and_deletes(full, git, git_of, tmp_path):
    target = tmp_path / "backup.git"
    full.backup(target)
    old = full.branches["main"]
    new = old.write("new", b"1")
    del full.tags["v1"]
    diff = full.backup(target)
    assert diff.update == [RefChange("refs/heads/main", old.commit_hash, new.commit_hash)]
    assert names(diff.delete) == ["refs/tags/v1"] and diff.delete[0].new_target is None
    assert refs(git_of(target)) == refs(git)


def test_a_dry_run_of_a_backup_makes_nothing(full, tmp_path):
    diff = full.backup(tmp_path / "backup.git", dry_run=True)
    assert names(diff.add) == REFS and diff.add[0].old_target is None
    assert not (tmp_path / "backup.git").exists()


def test_file_urls(full, git, git_of, tmp_path):
    target = tmp_path / "backup.git"
    full.backup(f"file://{target}")
    assert refs(git_of(target)) == refs(git)


def test_restore_makes_a_mirror(full, git, git_of, tmp_path):
    copy = GitStore.open(tmp_path / "copy.git", create="local-only")
    diff = copy.restore(full.path)
    assert names(diff.add) == REFS and names(diff.delete) == ["refs/heads/local-only"]
    assert refs(git_of(tmp_path / "copy.git")) == refs(git)
    assert copy.branches["main"].read("a.txt") == b"alpha"
    assert copy.notes.commits[copy.branches["main"].commit_hash] == "a note"
    assert copy.restore(full.path).in_sync
    git_of(tmp_path / "copy.git").check()


def test_an_additive_restore_deletes_nothing(full, tmp_path):
    copy = GitStore.open(tmp_path / "copy.git", create="local-only")
    assert copy.restore(full.path, additive=True).delete == []
    assert sorted(copy.branches) == ["dev", "local-only", "main"]


def test_a_dry_run_of_a_restore_changes_nothing(full, tmp_path):
    copy = GitStore.open(tmp_path / "copy.git", create=True)
    assert names(copy.restore(full.path, dry_run=True).add) == REFS
    assert list(copy.branches) == []


def test_selected_refs(full, git_of, tmp_path):
    target = tmp_path / "backup.git"
    assert names(full.backup(target, refs=["dev"]).add) == ["refs/heads/dev"]
    diff = full.backup(target, refs={"main": "saved"})
    assert names(diff.add) == ["refs/heads/saved"] and diff.delete == []
    assert git_of(target)("for-each-ref", "--format=%(refname:short)") == "dev\nsaved"
    with pytest.raises(KeyError):
        full.backup(target, refs=["nope"])


def test_bundles(full, git, git_of, tmp_path):
    bundle = tmp_path / "all.bundle"
    full.bundle_export(bundle)
    verified = subprocess.run(["git", "-C", full.path, "bundle", "verify", bundle], capture_output=True)
    assert verified.returncode == 0, verified.stderr
    copy = GitStore.open(tmp_path / "copy.git", create=True)
    copy.bundle_import(bundle)
    assert refs(git_of(tmp_path / "copy.git")) == refs(git)
    again = GitStore.open(tmp_path / "again.git", create=True)
    bundle_import(again, bundle, refs=["main"])
    assert list(again.branches) == ["main"] and len(again.tags) == 0


def test_backup_to_a_bundle(full, tmp_path):
    bundle = tmp_path / "b.bundle"
    assert names(full.backup(bundle).add) == REFS
    named = tmp_path / "plain"
    full.backup(named, format="bundle", refs=["main"], squash=True)
    copy = GitStore.open(tmp_path / "copy.git", create=True)
    copy.restore(named, format="bundle")
    fs = copy.branches["main"]
    assert fs.parent is None and fs.tree_hash == full.branches["main"].tree_hash
    with pytest.raises(ValueError):
        full.backup(tmp_path / "c", format="tarball")


def test_a_bundle_is_restored_without_its_history(full, tmp_path):
    bundle = tmp_path / "b.bundle"
    full.backup(bundle)
    copy = GitStore.open(tmp_path / "copy.git", create=True)
    dry = copy.restore(bundle, dry_run=True, squash=True)
    assert list(copy.branches) == [] and dry == copy.restore(bundle, squash=True)
    fs = copy.branches["main"]
    assert fs.parent is None and fs.tree_hash == full.branches["main"].tree_hash
    with pytest.raises(ValueError, match="squash is for bundles only"):
        copy.restore(full.path, squash=True)
    assert copy.restore(full.path, squash=False).total > 0


@pytest.mark.parametrize("call", ["backup", "restore"])
def test_backup_and_restore_take_what_the_reference_names(call):
    import inspect

    parameters = inspect.signature(getattr(GitStore, call)).parameters
    assert list(parameters)[:2] == ["self", "url"]
    assert {"dry_run", "progress", "refs", "format", "squash"} <= set(parameters)
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in list(parameters)[2:])


def test_git_reads_and_writes_bundles(full, tmp_path, git):
    bundle = tmp_path / "git.bundle"
    git("bundle", "create", str(bundle), "--all")
    copy = GitStore.open(tmp_path / "copy.git", create=True)
    copy.restore(bundle)
    assert copy.branches["main"].commit_hash == full.branches["main"].commit_hash
    bundle_export(full, tmp_path / "ours.bundle", refs=["main"])
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "-b", "main", tmp_path / "ours.bundle", clone], check=True)
    assert (clone / "a.txt").read_bytes() == b"alpha"


@pytest.mark.parametrize("url", ["host:path", "git@example.com:me/repo.git"])
def test_scp_like_urls_are_refused(store, url):
    for call in (store.backup, store.restore):
        with pytest.raises(ValueError, match="scp-style URL not supported"):
            call(url)


def test_a_missing_source(store, tmp_path):
    with pytest.raises(Exception):
        store.restore(tmp_path / "nope.git")
    assert list(store.branches) == ["main"]


def test_progress_can_stop_a_backup(full, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    for number in range(5):
        fs = full.branches["main"].write(f"f{number}", b"x" * 1000)
    with pytest.raises(Stop):
        full.backup(tmp_path / "backup.git", progress=stop)
    assert fs.exists("f4")


def test_credentials_are_looked_up_for_https_alone():
    for url in ("/local/path", "http://example.com/x", "ssh://git@example.com/x"):
        assert resolve_credentials(url) == url
    assert resolve_credentials("https://user:secret@example.com/x") == "https://user:secret@example.com/x"
