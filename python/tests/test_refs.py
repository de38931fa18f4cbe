"""Branches and tags as dictionaries."""

import shutil

import pytest

from packhouse.store import FS, GitStore, RefDict, ReflogEntry


def test_branches_are_a_mapping(store, files):
    store.branches["dev"] = files
    assert isinstance(store.branches, RefDict)
    assert sorted(store.branches) == ["dev", "main"]
    assert len(store.branches) == 2
    assert "dev" in store.branches and "nope" not in store.branches and 5 not in store.branches
    assert store.branches.get("nope") is None
    assert sorted(store.branches.keys()) == ["dev", "main"]
    assert {fs.commit_hash for fs in store.branches.values()} == {files.commit_hash}
    assert all(name == fs.ref_name for name, fs in store.branches.items())
    assert store.branches.pop("dev").commit_hash == files.commit_hash
    assert list(store.branches) == ["main"]
    assert repr(store.branches) == "RefDict('branches', len=1)"
    assert repr(store.tags) == "RefDict('tags', len=0)"


def test_a_store_without_branches_gets_one(path):
    store = GitStore.open(path, create=True)
    assert len(store.branches) == 0 and store.branches.current is None
    with pytest.raises(ValueError):
        store.branches.set_empty("not allowed")
    fs = store.branches.set_empty("trunk")
    assert fs.writable and fs.branch == "trunk" and fs.ls() == [] and fs.parent is None
    assert fs.message == "Initialize trunk" and store.branches.current_name == "trunk"
    fs = fs.write("a", b"1")
    # Others do not become the current one, and what exists begins anew.
    assert store.branches.set_empty("other").ls() == [] and store.branches.current_name == "trunk"
    assert store.branches.set_empty("trunk").ls() == [] and fs.read("a") == b"1"
    with pytest.raises(ValueError):
        store.tags.set_empty("v1")
    assert sorted(store.branches) == ["other", "trunk"] and list(store.tags) == []


def test_a_branch_gives_a_writable_snapshot(store, files):
    fs = store.branches["main"]
    assert fs.writable and fs.ref_name == "main" and fs.branch == "main"
    assert repr(fs) == f"FS(ref_name='main', commit={fs.commit_hash[:7]})"


def test_a_missing_branch_is_a_key_error_of_its_name(store):
    with pytest.raises(KeyError) as error:
        store.branches["nope"]
    assert error.value.args == ("nope",)
    with pytest.raises(KeyError):
        del store.branches["nope"]
    with pytest.raises(KeyError):
        store.tags["nope"]
    with pytest.raises(KeyError):
        del store.tags["nope"]


def test_assigning_moves_a_branch_wherever_it_was(store, files):
    store.branches["main"] = files.parent
    assert store.branches["main"].commit_hash == files.parent.commit_hash
    store.branches["main"] = files
    assert store.branches["main"].commit_hash == files.commit_hash


def test_set_returns_the_snapshot_bound_to_the_name(store, files):
    fs = store.branches.set("dev", files)
    assert fs.ref_name == "dev" and fs.writable and fs is not files
    fs.write("only-dev", b"1")
    assert not store.branches["main"].exists("only-dev")


def test_only_snapshots_of_the_same_store_are_assigned(store, files, tmp_path, path):
    with pytest.raises(TypeError, match="Expected FS, got str"):
        store.branches["dev"] = "main"
    other = GitStore.open(tmp_path / "other.git", create="main")
    with pytest.raises(ValueError):
        store.branches["dev"] = other.branches["main"]
    store.branches["dev"] = GitStore.open(path).branches["main"]
    (tmp_path / "alias").symlink_to(path)
    store.tags["v"] = GitStore.open(tmp_path / "alias").branches["main"]
    assert "dev" in store.branches and "v" in store.tags


def test_a_tag_is_read_only_and_never_moved(store, tag, files):
    assert not tag.writable and tag.ref_name == "v1" and tag.branch is None
    assert repr(tag) == f"FS(ref_name='v1', commit={tag.commit_hash[:7]}, readonly)"
    with pytest.raises(KeyError) as error:
        store.tags["v1"] = files
    assert error.value.args == ("Tag 'v1' already exists",)
    del store.tags["v1"]
    assert "v1" not in store.tags


def test_annotated_tags_are_peeled(store, files, git):
    git("tag", "-a", "-m", "one", "one", "main")
    git("tag", "-a", "-m", "two", "two", "one")
    assert store.tags["two"].commit_hash == files.commit_hash


def test_a_tag_of_something_else_than_a_commit_is_a_value_error(store, files, git):
    git("tag", "blob", files.object_hash("a.txt"))
    with pytest.raises(ValueError, match="Tag 'blob' does not point to a commit"):
        store.tags["blob"]


@pytest.mark.parametrize("name", ["@", "-a", "feature/x.y", "ü", "a@b", "x-1"])
def test_names_that_git_allows(store, fs, name):
    store.branches[name] = fs
    store.tags[name] = fs
    assert name in store.branches and store.branches[name].ref_name == name
    assert name in store.tags
    del store.branches[name]


BAD = ["", "a b", "a\tb", "a\nb", "a..b", "a.lock", "/a", "a/", "a//b", ".a", "a/.b", "a~b", "a^b", "a?b", "a*b", "a[b", "a\\b", "a@{b"]


@pytest.mark.parametrize("name", BAD)
def test_names_that_git_does_not_allow(store, fs, name):
    with pytest.raises(ValueError, match="Invalid ref name"):
        store.branches[name] = fs
    with pytest.raises(ValueError):
        store.tags[name] = fs
    assert name not in store.branches


def test_a_colon_is_refused_by_name(store, fs):
    with pytest.raises(ValueError, match="contains colon"):
        store.branches["a:b"] = fs


def test_a_branch_below_another_is_refused(store, fs):
    store.branches["a"] = fs
    with pytest.raises(Exception):
        store.branches["a/b"] = fs
    assert sorted(store.branches) == ["a", "main"]


def test_head_is_the_current_branch(store, files):
    assert store.branches.current_name == "main"
    assert store.branches.current.commit_hash == files.commit_hash
    store.branches["dev"] = files
    store.branches.current = "dev"
    assert store.branches.current_name == "dev"
    assert store.branches.current.writable
    with pytest.raises(KeyError):
        store.branches.current = "nope"
    del store.branches["dev"]
    assert store.branches.current_name is None and store.branches.current is None


def test_tags_have_no_current_one_and_no_reflog(store, tag):
    with pytest.raises(ValueError):
        store.tags.current
    with pytest.raises(ValueError):
        store.tags.current_name
    with pytest.raises(ValueError):
        store.tags.current = "v1"
    with pytest.raises(ValueError, match="Tags do not have reflog"):
        store.tags.reflog("v1")


def test_the_reflog_has_every_move(store, fs):
    one = fs.write("a", b"1")
    two = one.write("a", b"2", message="Second\n\nwith a body")
    store.branches["main"] = one
    lines = store.branches.reflog("main")
    assert all(isinstance(line, ReflogEntry) for line in lines)
    assert [(line.old_sha, line.new_sha) for line in lines] == [
        (fs.commit_hash, one.commit_hash),
        (one.commit_hash, two.commit_hash),
        (two.commit_hash, one.commit_hash),
    ]
    assert lines[0].message == "commit: Write a"
    assert lines[1].message.startswith("commit: Second")
    assert lines[2].message == "branch: set to Write a"
    assert lines[0].committer == "gitstore <gitstore@localhost>"
    assert abs(lines[0].timestamp - one.time.timestamp()) < 60


def test_a_new_branch_is_recorded(store, files):
    store.branches["dev"] = files
    (line,) = store.branches.reflog("dev")
    assert line.old_sha == "0" * 40 and line.new_sha == files.commit_hash
    assert line.message == f"branch: Created from {files.message}"


def test_the_reflog_of_a_missing_branch_is_a_key_error(store, fs):
    with pytest.raises(KeyError):
        store.branches.reflog("nope")
    with pytest.raises(FileNotFoundError):
        store.branches.reflog("main")  # the first commit is not recorded


def test_a_deleted_branch_is_a_key_error_on_write(store, fs):
    store.branches["dev"] = fs
    dev = store.branches["dev"]
    del store.branches["dev"]
    with pytest.raises(KeyError):
        dev.write("a", b"1")


def test_snapshots_are_of_the_class(store, fs):
    assert isinstance(fs, FS) and fs.store is store


def test_a_repository_that_is_gone_has_no_missing_branches(tmp_path):
    store = GitStore.open(tmp_path / "gone.git", create="main")
    assert "other" not in store.branches
    shutil.rmtree(tmp_path / "gone.git")
    for ask in (
        lambda: store.branches["main"],
        lambda: "main" in store.branches,
        lambda: store.branches.get("main"),
    ):
        with pytest.raises(OSError, match="removed meanwhile"):
            ask()


def test_what_is_no_text_names_nothing(store, fs):
    assert "\udcff" not in store.branches and store.branches.get("\udcff") is None
    assert "\udcff" not in store.notes.commits and store.notes.commits.get("\udcff") is None
    with pytest.raises(KeyError):
        store.tags["\udcff"]
