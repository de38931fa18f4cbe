"""The code of the two guides of `gitstore`, as it stands in them, in the order of their sections."""

import pytest


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def repo():
    from gitstore import GitStore

    return GitStore.open("data.git", create="main")


@pytest.fixture
def fs(repo):
    """A snapshot with the files that the guides' examples read."""
    fs = repo.branches["main"]
    for path, data in {
        "path/to/file.bin": b"\x00\x01",
        "src/main.py": b"print()\n",
        "src/pkg/x.py": b"",
        "data.bin": bytes(range(256)) * 8,
        "old-file.txt": b"old",
        "old.txt": b"old",
        "hello.txt": b"Hello, world!",
    }.items():
        fs = fs.write(path, data)
    return fs


def test_quick_start(capsys):
    from gitstore import GitStore

    # Create a new repository with a "main" branch
    repo = GitStore.open("data.git", create="main")

    # Get a snapshot of the branch
    fs = repo.branches["main"]

    # Write a file — returns a new immutable snapshot
    fs = fs.write("hello.txt", b"Hello, world!")

    # Read it back
    print(fs.read("hello.txt"))  # b'Hello, world!'

    # Every write is a commit
    print(fs.hash)     # full 40-char SHA
    print(fs.message)  # 'Write hello.txt'

    read, hash, message = capsys.readouterr().out.splitlines()
    assert read == "b'Hello, world!'" and len(hash) == 40 and message == "Write hello.txt"


def test_create_with_an_initial_branch():
    from gitstore import GitStore

    # Create new repo with an initial branch
    repo = GitStore.open("data.git", create="main")

    assert list(repo.branches) == ["main"]

    # Open existing repo
    repo = GitStore.open("data.git")

    assert list(repo.branches) == ["main"]


def test_create_an_empty_repository():
    from gitstore import GitStore

    # Create empty repo (no branches)
    repo = GitStore.open("data.git", create=True)

    assert list(repo.branches) == []


def test_custom_author():
    from gitstore import GitStore

    # Custom author for commits
    repo = GitStore.open("data.git", create="main", author="alice", email="alice@example.com")

    assert repo.branches["main"].author_name == "alice"


def test_branches_and_tags(repo, capsys):
    # Access branches and tags like dicts
    fs = repo.branches["main"]
    repo.branches["experiment"] = fs   # fork a branch
    del repo.branches["experiment"]    # delete a branch

    # Tags are immutable — overwriting raises KeyError
    repo.tags["v1.0"] = fs
    snapshot = repo.tags["v1.0"]       # read-only FS (branch=None)

    # Iteration
    for name in repo.branches:
        print(name)

    print(len(repo.tags))
    print("main" in repo.branches)    # True

    assert capsys.readouterr().out.splitlines() == ["main", "1", "True"]
    assert snapshot.branch is None
    with pytest.raises(KeyError):
        repo.tags["v1.0"] = fs


def test_reading(fs, capsys):
    data = fs.read("path/to/file.bin")           # bytes
    entries = fs.ls()                             # root listing
    entries = fs.ls("src")                        # subdirectory listing
    exists = fs.exists("path/to/file.bin")        # bool

    # Walk the tree (like os.walk)
    for dirpath, dirnames, filenames in fs.walk():
        print(dirpath, dirnames, filenames)

    # Walk a subtree
    for dirpath, dirnames, filenames in fs.walk("src"):
        ...

    # File-like object
    with fs.open("data.bin", "rb") as f:
        header = f.read(4)
        f.seek(0)
        all_data = f.read()

    assert data == b"\x00\x01" and entries == ["main.py", "pkg"] and exists is True
    assert (dirpath, dirnames, filenames) == ("src/pkg", [], ["x.py"])
    assert header == b"\x00\x01\x02\x03" and len(all_data) == 2048
    assert capsys.readouterr().out.splitlines()[-2:] == ["src ['pkg'] ['main.py']", "src/pkg [] ['x.py']"]


def test_writing(fs):
    fs = fs.write("config.json", b'{"key": "value"}')
    fs = fs.write("data/nested/file.bin", b"\x00\x01\x02")  # directories created automatically

    fs = fs.remove("old-file.txt")  # raises FileNotFoundError if missing

    assert fs.exists("data/nested/file.bin") and fs.message == "Remove old-file.txt"
    with pytest.raises(FileNotFoundError):
        fs.remove("old-file.txt")


def test_the_original_is_never_changed(repo):
    fs1 = repo.branches["main"]
    fs2 = fs1.write("new.txt", b"data")
    assert not fs1.exists("new.txt")  # fs1 is unchanged
    assert fs2.exists("new.txt")


def test_batch_writes(fs):
    with fs.batch() as b:
        b.write("a.txt", b"alpha")
        b.write("b.txt", b"bravo")
        b.remove("old.txt")

        # File-like interface
        with b.open("c.txt", "wb") as f:
            f.write(b"charlie")

    fs = b.fs  # new snapshot after the batch commits

    assert fs.read("c.txt") == b"charlie" and not fs.exists("old.txt")


def test_an_exception_in_a_batch(fs):
    try:
        with fs.batch() as b:
            b.write("x.txt", b"data")
            raise RuntimeError("abort")
    except RuntimeError:
        pass
    assert b.fs is None  # no commit was made


def test_file_like_objects(fs):
    # Reading
    with fs.open("data.bin", "rb") as f:
        chunk = f.read(1024)
        f.seek(0)
        pos = f.tell()

    # Writing (commits on context manager exit)
    with fs.open("output.bin", "wb") as f:
        f.write(b"some data")
    new_fs = f.fs

    assert len(chunk) == 1024 and pos == 0 and new_fs.read("output.bin") == b"some data"


def test_history(fs, capsys):
    # Parent snapshot
    parent = fs.parent       # FS or None (for the initial commit)

    # Walk the full commit log
    for snapshot in fs.log():
        print(snapshot.hash, snapshot.message)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{fs.hash} Write hello.txt" and lines[1].split()[0] == parent.hash
    assert lines[-1].endswith(" Initialize main") and snapshot.parent is None


def test_dump(fs, tmp_path):
    fs.dump(tmp_path / "export")
    # Creates /tmp/export/hello.txt, /tmp/export/src/main.py, etc.

    assert (tmp_path / "export/hello.txt").read_bytes() == b"Hello, world!"
    assert (tmp_path / "export/src/main.py").exists()


def test_snapshot_properties(fs, repo):
    assert isinstance(fs.hash, str) and len(fs.hash) == 40  # full 40-character commit SHA
    assert fs.branch == "main"  # branch name, or None for tags
    assert fs.message == "Write hello.txt"  # commit message


def test_concurrency_safety(repo):
    from gitstore import StaleSnapshotError

    fs = repo.branches["main"]
    fs.write("a.txt", b"a")         # advances the branch

    try:
        fs.write("b.txt", b"b")     # fs is now stale
    except StaleSnapshotError:
        fs = repo.branches["main"]  # re-fetch and retry

    assert fs.exists("a.txt") and not fs.exists("b.txt")


def test_error_handling(repo, fs):
    from gitstore import GitStore, StaleSnapshotError

    repo.tags["v1"] = fs
    for expected, action in [
        (FileNotFoundError, lambda: fs.read("nope")),
        (FileNotFoundError, lambda: fs.remove("nope")),
        (FileNotFoundError, lambda: GitStore.open("nope.git")),
        (FileExistsError, lambda: GitStore.open("data.git", create="main")),
        (IsADirectoryError, lambda: fs.read("src")),
        (NotADirectoryError, lambda: fs.ls("hello.txt")),
        (NotADirectoryError, lambda: next(fs.walk("hello.txt"))),
        (PermissionError, lambda: repo.tags["v1"].write("x", b"")),
        (KeyError, lambda: repo.branches["nope"]),
        (KeyError, lambda: repo.tags.__setitem__("v1", fs)),
        (ValueError, lambda: fs.read("a/../b")),
        (ValueError, lambda: fs.read("a//b")),
        (ValueError, lambda: fs.open("hello.txt", "a")),
        (TypeError, lambda: repo.branches.__setitem__("x", "main")),
        (StaleSnapshotError, lambda: fs.parent.write("x", b"")),
    ]:
        with pytest.raises(expected):
            action()


def test_the_imports_of_the_reference():
    from gitstore import GitStore, FS, Batch, WriteEntry, StaleSnapshotError, retry_write
    from gitstore import ChangeReport, ChangeAction, ChangeActionKind, ChangeError, FileEntry, FileType
    from gitstore import MirrorDiff, RefChange, ReflogEntry, Signature, WalkEntry
    from gitstore import NoteDict, NoteNamespace, NotesBatch
    from gitstore import ExcludeFilter, BlobOid, StatResult, disk_glob


MEMBERS = {
    "GitStore": "open branches tags notes backup restore",
    "FS": """
        writable commit_hash ref_name tree_hash message time author_name author_email changes exists is_dir file_type size
        object_hash stat read read_text read_by_hash readlink ls listdir walk glob iglob write write_text write_from_file
        write_symlink writer batch copy_in copy_out sync_in sync_out remove move copy_from_ref apply parent back log undo
        redo close
    """,
    "Batch": "write write_from_file write_text write_symlink remove writer commit",
    "RefDict": "set current current_name reflog",
}


@pytest.mark.parametrize("name", MEMBERS)
def test_the_members_of_the_reference(name):
    import gitstore

    owner = getattr(gitstore, name)
    for member in MEMBERS[name].split():
        assert getattr(owner, member).__doc__, f"{name}.{member}"
