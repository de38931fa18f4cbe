"""Opening and creating a store."""

import subprocess

import pytest

from packhouse.store import FS, GitError, GitStore


def test_a_missing_store_is_an_error(path):
    for create in (None, False):
        with pytest.raises(FileNotFoundError):
            GitStore.open(path, create=create)
    assert not path.exists()


def test_creating_with_a_branch_makes_an_empty_first_commit(path):
    fs = GitStore.open(path, create="main").branches["main"]
    assert fs.message == "Initialize main"
    assert fs.ls() == [] and fs.parent is None
    with pytest.raises(FileExistsError):
        GitStore.open(path, create="main")


def test_creating_without_a_branch_makes_an_empty_store(path):
    store = GitStore.open(path, create=True)
    assert len(store.branches) == 0 and len(store.tags) == 0
    assert store.branches.current is None and store.branches.current_name is None
    with pytest.raises(FileExistsError):
        GitStore.open(path, create=True)


def test_create_or_open(path):
    first = GitStore.open(path, create=True, exist_ok=True, branch="main")
    first.branches["main"].write("a", b"1")
    again = GitStore.open(path, create=True, exist_ok=True, branch="other")
    assert list(again.branches) == ["main"]
    assert again.branches["main"].read("a") == b"1"
    assert GitStore.open(path, create="main", exist_ok=True).branches["main"].exists("a")


def test_two_names_for_the_branch_contradict_each_other(path):
    with pytest.raises(ValueError):
        GitStore.open(path, create="main", branch="dev")
    assert not path.exists()


def test_paths_are_text_or_path_objects(path):
    GitStore.open(str(path), create="main")
    assert GitStore.open(path).path == str(path)


def test_a_relative_path_becomes_absolute(path, monkeypatch):
    GitStore.open(path, create="main")
    monkeypatch.chdir(path.parent)
    store = GitStore.open("store.git")
    monkeypatch.chdir("/")
    assert store.branches["main"].ls() == []
    assert store.path == str(path)


def test_the_author_makes_the_commits_from_now_on(path):
    GitStore.open(path, create="main")
    store = GitStore.open(path, author="alice", email="alice@example.com")
    fs = store.branches["main"].write("a", b"1")
    assert (fs.author_name, fs.author_email) == ("alice", "alice@example.com")
    assert (fs.parent.author_name, fs.parent.author_email) == ("gitstore", "gitstore@localhost")
    assert store.signature.name == "alice" and store.signature.email == "alice@example.com"


def test_what_would_break_a_commit_is_dropped_from_the_author(path, git_of):
    store = GitStore.open(path, create="main", author="a\nb<", email="a>b\n")
    store.branches["main"].write("a", b"1")
    fs = store.branches["main"]
    assert (fs.author_name, fs.author_email) == ("ab", "ab")
    git_of(path).check()


def test_what_is_no_repository_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    with pytest.raises(Exception, match="folder"):
        GitStore.open(tmp_path / "folder")
    with pytest.raises(FileExistsError):
        GitStore.open(tmp_path / "folder", create="main")


def test_an_invalid_first_branch_is_a_value_error(path):
    with pytest.raises(ValueError):
        GitStore.open(path, create="a..b")
    assert not path.exists()


def test_git_finds_an_ordinary_bare_repository(store, git):
    assert git("rev-parse", "--is-bare-repository") == "true"
    assert git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert git("config", "core.logAllRefUpdates") == "true"
    assert git("cat-file", "-p", "main").splitlines()[1:4:2] == [
        git("cat-file", "-p", "main").splitlines()[1],
        "encoding UTF-8",
    ]


def test_a_store_says_where_it_is(store, path):
    assert repr(store) == f"GitStore('{path}/')"
    assert store.path == str(path)


def test_a_read_only_store_refuses_writes(store, path):
    reader = GitStore.open(path, read_only=True)
    assert reader.branches["main"].ls() == []
    with pytest.raises(PermissionError):
        reader.branches["main"].write("a", b"1")
    with pytest.raises(PermissionError):
        reader.branches["new"] = reader.branches["main"]


def test_durability_and_messages_have_fixed_values(path):
    with pytest.raises(ValueError):
        GitStore.open(path, create="main", durability="some")
    with pytest.raises(ValueError):
        GitStore.open(path, create="main", messages="long")
    store = GitStore.open(path, create="main", durability="relaxed", compression=1, big_file_threshold=1000)
    assert store.branches["main"].write("a", b"1").read("a") == b"1"


def test_compression_and_threshold_are_kept_in_the_repository(path):
    GitStore.open(path, create="main", compression=3, big_file_threshold=4096)
    config = subprocess.run(["git", "-C", path, "config", "--list"], capture_output=True, text=True).stdout
    assert "core.compression=3" in config and "core.bigfilethreshold=4096" in config.lower()


def test_fs_finds_branches_tags_and_commits(store, files):
    store.tags["v1"] = files.parent
    assert store.fs("main").commit_hash == files.commit_hash and store.fs("main").writable
    assert store.fs("v1").commit_hash == files.parent.commit_hash and not store.fs("v1").writable
    for ref in (files.commit_hash, files.commit_hash[:10]):
        found = store.fs(ref)
        assert found.commit_hash == files.commit_hash
        assert found.ref_name is None and not found.writable
    assert store.fs("main", back=1).commit_hash == files.parent.commit_hash
    for missing in ("nothing", "0" * 40):
        with pytest.raises(KeyError):
            store.fs(missing)
    with pytest.raises(ValueError):
        store.fs("main", back=100)


def test_blobs_are_read_by_their_hash(store, files):
    hash = files.object_hash("a.txt")
    assert store.has_hash(hash) and store.has_hash(hash.encode())
    assert store.read_by_hash(hash) == b"alpha"
    assert store.read_by_hash(hash.encode(), offset=1, size=3) == b"lph"
    assert files.read_by_hash(hash, offset=-2) == b"ha"
    assert not store.has_hash("0" * 40) and not store.has_hash("short")
    assert not store.has_hash(files.tree_hash)
    for missing in ("0" * 40, files.tree_hash):
        with pytest.raises(KeyError):
            store.read_by_hash(missing)


def test_a_snapshot_is_made_from_a_commit(store, files):
    detached = FS(store, files.commit_hash)
    assert not detached.writable and detached.ref_name is None and detached.branch is None
    assert repr(detached) == f"FS(commit={files.commit_hash[:7]}, readonly)"
    bound = FS(store, files.commit_hash.encode(), "main")
    assert bound.writable and bound.write("new", b"1").read("new") == b"1"
    assert not FS(store, files.commit_hash, "main", writable=False).writable


def test_the_store_is_opened_only_by_open():
    with pytest.raises(TypeError):
        GitStore()


@pytest.mark.parametrize("options", [{"compression": 10}, {"compression": -2}, {"big_file_threshold": -1}])
def test_settings_that_git_would_die_of_are_refused(path, options):
    with pytest.raises(ValueError):
        GitStore.open(path, create="main", **options)
    assert not path.exists()


def test_a_snapshot_of_a_ref_is_no_commits_before_it_or_more(store):
    with pytest.raises(ValueError):
        store.fs("main", back=-1)
    with pytest.raises(KeyError):
        store.read_by_hash(b"\xff" * 40)


@pytest.mark.parametrize(
    ("format", "settings", "says"),
    [
        ("sha256", "", "object format sha256"),
        ("sha1", '[remote "origin"]\n\tpromisor = true\n', "partial clone"),
        ("sha1", "[extensions]\n\trefStorage = reftable\n", "ref storage reftable"),
    ],
)
def test_other_forms_of_storage_are_refused_before_anything_is_written(path, format, settings, says):
    subprocess.run(["git", "init", "-q", "--bare", f"--object-format={format}", path], check=True)
    with (path / "config").open("a") as config:
        config.write(settings)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for options in ({}, {"create": "main", "exist_ok": True}, {"compression": 3}, {"read_only": True}):
        with pytest.raises(GitError, match=says) as error:
            GitStore.open(path, **options)
        assert "\n" not in str(error.value)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_settings_can_be_given_later(path, git_of):
    GitStore.open(path, create="main")
    GitStore.open(path, compression=1, big_file_threshold=2048)
    git = git_of(path)
    assert git("config", "core.compression") == "1" and git("config", "core.bigFileThreshold") == "2048"


def test_a_head_that_names_no_branch_hinders_nobody(path, tmp_path, git_of):
    subprocess.run(["git", "init", "-q", "--bare", "-b", "trunk", path], check=True)
    store, git = GitStore.open(path), git_of(path)
    assert list(store.branches) == [] and store.branches.current is None and store.branches.current_name is None
    with pytest.raises(KeyError):
        store.branches["trunk"]
    with pytest.raises(RuntimeError):
        store.notes.commits.for_current_branch
    assert (store.pack(), store.gc()) == (0, 0)
    other = GitStore.open(tmp_path / "other.git", create="trunk")
    fs = other.branches["trunk"].write("a", b"1")
    store.restore(other.path)
    assert store.branches.current_name == "trunk" and store.branches.current.read("a") == b"1"
    # Detached, and dangling.
    git("update-ref", "--no-deref", "HEAD", fs.commit_hash)
    assert store.branches.current is None and store.branches["trunk"].write("b", b"2").exists("a")
    git("symbolic-ref", "HEAD", "refs/heads/gone")
    assert store.branches.current_name is None and store.branches["trunk"].write("c", b"3").exists("b")
    store.branches.current = "trunk"
    assert store.branches.current.exists("c")
    git.check()
