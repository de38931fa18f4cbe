"""Notes on commits, as Git has them."""

import pytest

from packhouse.store import NoteDict, NoteNamespace, NotesBatch


@pytest.fixture
def notes(store):
    return store.notes.commits


def test_namespaces(store):
    assert isinstance(store.notes, NoteDict)
    assert isinstance(store.notes.commits, NoteNamespace)
    store.notes["reviews"]["1" * 40] = "fine"
    assert len(store.notes["reviews"]) == 1 and len(store.notes.commits) == 0


def test_a_mapping_from_hashes_to_text(fs, notes):
    key = fs.commit_hash
    notes[key] = "first\n"
    assert notes[key] == "first\n" and key in notes and list(notes) == [key] and len(notes) == 1
    notes[key] = "second"
    assert dict(notes) == {key: "second"}
    del notes[key]
    assert key not in notes and len(notes) == 0 and notes.get(key) is None
    for attempt in (lambda: notes[key], lambda: notes.__delitem__(key)):
        with pytest.raises(KeyError):
            attempt()


def test_the_commit_need_not_exist(notes):
    notes["a" * 40] = "ü"
    assert notes["a" * 40] == "ü"


@pytest.mark.parametrize("key", ["short", "A" * 40, "g" * 40, "a" * 41, ""])
def test_bad_keys(notes, key):
    with pytest.raises(ValueError, match="40-char"):
        notes[key]
    with pytest.raises(ValueError, match="40-char"):
        notes[key] = "x"
    assert key not in notes


def test_bad_types(notes):
    with pytest.raises(TypeError):
        notes[5]
    with pytest.raises(TypeError):
        notes["a" * 40] = b"bytes"
    with pytest.raises(TypeError):
        notes["a" * 40] = None
    assert 5 not in notes and len(notes) == 0


def test_branches_tags_and_snapshots_are_keys_too(store, fs, notes):
    store.tags["v1"] = fs
    notes["main"] = "by branch"
    assert notes[fs.commit_hash] == notes["v1"] == notes[fs] == "by branch"
    assert fs in notes and "main" in notes
    notes[fs] = "by snapshot"
    del notes["v1"]
    assert len(notes) == 0


def test_git_reads_and_writes_the_same_notes(fs, notes, git):
    notes[fs.commit_hash] = "from here\n"
    assert git("notes", "show", fs.commit_hash) == "from here"
    git("notes", "add", "-f", "-m", "from git", fs.commit_hash)
    assert notes[fs.commit_hash] == "from git\n"
    short = fs.commit_hash[:7]
    assert git("log", "-1", "--format=%s", "refs/notes/commits") .startswith("Notes added by 'git notes")
    del notes[fs.commit_hash]
    assert git("log", "-1", "--format=%s", "refs/notes/commits") == f"Notes removed by 'git notes' on {short}"
    notes[fs.commit_hash] = "again"
    assert git("log", "-1", "--format=%s", "refs/notes/commits") == f"Notes added by 'git notes' on {short}"


def test_fan_out_is_read_and_replaced(fs, notes, git):
    key = fs.commit_hash
    blob = git("hash-object", "-w", "--stdin", input=b"fanned")
    inner = git("mktree", input=f"100644 blob {blob}\t{key[2:]}\n".encode())
    tree = git("mktree", input=f"040000 tree {inner}\t{key[:2]}\n".encode())
    git("update-ref", "refs/notes/commits", git("commit-tree", "-m", "x", tree))
    assert notes[key] == "fanned" and list(notes) == [key] and len(notes) == 1
    notes[key] = "flat"
    assert git("ls-tree", "-r", "--name-only", "refs/notes/commits") == key
    assert notes[key] == "flat"


def test_the_note_of_the_current_branch(store, fs, notes):
    notes.for_current_branch = "here"
    assert notes.for_current_branch == notes[fs.commit_hash] == "here"
    new = fs.write("a", b"1")
    with pytest.raises(KeyError):
        notes.for_current_branch
    store.branches["dev"] = new
    store.branches.current = "dev"
    del store.branches["dev"]
    with pytest.raises(RuntimeError):
        notes.for_current_branch
    with pytest.raises(RuntimeError):
        notes.for_current_branch = "x"


def test_a_batch_is_one_commit(notes, git):
    notes["1" * 40] = "one"
    with notes.batch() as batch:
        assert isinstance(batch, NotesBatch)
        batch["2" * 40] = "two"
        batch["3" * 40] = "three"
        del batch["1" * 40]
        assert len(notes) == 1
    assert dict(notes) == {"2" * 40: "two", "3" * 40: "three"}
    assert git("log", "-1", "--format=%s", "refs/notes/commits") == "Notes batch update (3 changes)"
    assert git("rev-list", "--count", "refs/notes/commits") == "2"


def test_a_batch_that_fails_changes_nothing(notes):
    with pytest.raises(RuntimeError):
        with notes.batch() as batch:
            batch["1" * 40] = "one"
            raise RuntimeError
    with pytest.raises(KeyError):
        with notes.batch() as batch:
            batch["2" * 40] = "two"
            del batch["3" * 40]
    assert len(notes) == 0
    with pytest.raises(RuntimeError):
        batch["1" * 40] = "late"


def test_an_empty_batch_makes_no_ref(notes, git):
    with notes.batch():
        pass
    assert git("for-each-ref", "refs/notes") == ""


def test_bad_keys_in_a_batch(notes):
    with pytest.raises(ValueError), notes.batch() as batch:
        batch["short"] = "x"
    with pytest.raises(TypeError), notes.batch() as batch:
        batch["1" * 40] = b"x"


