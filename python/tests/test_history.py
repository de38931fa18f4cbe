"""Parents, logs, undo and redo."""

from datetime import datetime, timedelta, timezone

import pytest

from packhouse.store import FS, GitStore, StaleSnapshotError

from conftest import Git


@pytest.fixture
def line(fs):
    """Snapshots after the first commit, oldest first: a=1, b=1, a=2, chmod a, dir/c=1."""
    snapshots = [fs.write("a", b"1", message="one")]
    snapshots.append(snapshots[-1].write("b", b"1", message="two: fix b"))
    snapshots.append(snapshots[-1].write("a", b"2", message="three"))
    snapshots.append(snapshots[-1].write("a", b"2", mode=0o100755, message="four: fix mode"))
    snapshots.append(snapshots[-1].write("dir/c", b"1", message="five"))
    return snapshots


def messages(snapshots):
    return [fs.message for fs in snapshots]


def hashes(snapshots):
    return [fs.commit_hash for fs in snapshots]


def test_parent_and_back(fs, line):
    assert line[1].parent.commit_hash == line[0].commit_hash
    assert fs.parent is None
    assert line[-1].back(0).commit_hash == line[-1].commit_hash
    assert line[-1].back().commit_hash == line[-2].commit_hash
    assert line[-1].back(5).commit_hash == fs.commit_hash
    with pytest.raises(ValueError, match="history too short"):
        line[-1].back(6)
    with pytest.raises(ValueError, match="n >= 0"):
        line[-1].back(-1)


def test_a_parent_keeps_its_branch_and_is_stale(line):
    parent = line[-1].parent
    assert parent.writable and parent.ref_name == "main"
    with pytest.raises(StaleSnapshotError):
        parent.write("x", b"1")


def test_log_is_newest_first_and_lazy(fs, line):
    assert hashes(line[-1].log()) == hashes(reversed([fs, *line]))
    log = line[-1].log()
    assert next(log).message == "five" and iter(log) is log
    assert all(isinstance(entry, FS) and entry.writable for entry in log)


def test_log_of_a_path(line):
    newest = line[-1]
    assert messages(newest.log("a")) == ["four: fix mode", "three", "one"]
    assert messages(newest.log("b")) == ["two: fix b"]
    assert messages(newest.log("dir")) == messages(newest.log("dir/c")) == ["five"]
    assert messages(newest.log("nope")) == []
    assert messages(newest.remove("b", message="gone").log(path="b")) == ["gone", "two: fix b"]


def test_log_of_matching_messages(line):
    newest = line[-1]
    assert messages(newest.log(match="*fix*")) == ["four: fix mode", "two: fix b"]
    assert messages(newest.log(match="t?r[x-z]*")) == []
    assert messages(newest.log(match="th[a-z]ee")) == ["three"]
    assert messages(newest.log("a", match="*fix*")) == ["four: fix mode"]


def test_log_before_a_time(line, git):
    newest = line[-1]
    now = newest.time
    assert messages(newest.log(before=now + timedelta(hours=1)))[0] == "five"
    assert list(newest.log(before=now - timedelta(hours=1))) == []
    commit = line[0].commit_hash
    dated = []
    for hour in (1, 2, 3):
        seconds = int(datetime(2024, 1, 1, hour, tzinfo=timezone.utc).timestamp())
        text = (
            f"tree {newest.tree_hash}\nparent {commit}\nauthor A <a@b> {seconds} +0000\n"
            f"committer A <a@b> {seconds} +0000\n\nat {hour}\n"
        )
        commit = git("hash-object", "-t", "commit", "-w", "--stdin", input=text.encode())
        dated.append(commit)
    fs = FS(newest.store, dated[-1])
    at_two = datetime(2024, 1, 1, 2)
    assert messages(fs.log(before=at_two))[:2] == ["at 2", "at 1"]
    east = timezone(timedelta(hours=2))
    assert messages(fs.log(before=datetime(2024, 1, 1, 4, tzinfo=east)))[:2] == ["at 2", "at 1"]
    assert messages(fs.log(before=at_two - timedelta(microseconds=1)))[:1] == ["at 1"]


def test_undo_moves_the_branch_back(store, line):
    fs = line[-1].undo()
    assert fs.commit_hash == line[-2].commit_hash and fs.writable and fs.ref_name == "main"
    assert store.branches["main"].commit_hash == fs.commit_hash
    assert store.branches.reflog("main")[-1].message == "undo: move back"
    assert fs.undo(2).commit_hash == line[-4].commit_hash


def test_undo_is_refused(store, line):
    newest = line[-1]
    store.tags["v1"] = newest
    tag = store.tags["v1"]
    for steps in (0, -1):
        with pytest.raises(ValueError, match="steps must be >= 1"):
            newest.undo(steps)
        with pytest.raises(ValueError, match="steps must be >= 1"):
            newest.redo(steps)
    with pytest.raises(ValueError, match="Cannot undo 50 steps - only"):
        newest.undo(50)
    with pytest.raises(StaleSnapshotError):
        line[0].undo()
    with pytest.raises(PermissionError, match="Cannot undo on read-only snapshot"):
        tag.undo()
    with pytest.raises(PermissionError, match="Cannot redo on read-only snapshot"):
        tag.redo()
    assert store.branches["main"].commit_hash == newest.commit_hash


def test_redo_takes_an_undo_back(store, line):
    undone = line[-1].undo(2)
    fs = undone.redo()
    assert fs.commit_hash == line[-1].commit_hash and fs.writable
    assert store.branches["main"].commit_hash == line[-1].commit_hash
    assert store.branches.reflog("main")[-1].message == "redo: move forward"


def test_redo_after_steps_of_undo(line):
    fs = line[-1].undo().undo()
    assert fs.commit_hash == line[-3].commit_hash
    assert fs.redo(2).commit_hash == line[-1].commit_hash


def test_redo_after_a_commit_goes_where_the_branch_was(fs):
    one = fs.write("a", b"1")
    assert one.redo().commit_hash == fs.commit_hash


def test_redo_too_far(fs):
    one = fs.write("a", b"1")
    with pytest.raises(ValueError, match="Cannot redo 2 steps"):
        one.redo(2)


def test_redo_beyond_the_beginning_of_a_branch(store, fs):
    dev = store.branches.set("dev", fs)
    with pytest.raises(ValueError, match="branch creation"):
        dev.redo()


def test_a_stale_redo_says_so(line):
    with pytest.raises(StaleSnapshotError):
        line[0].redo()


def test_squash(store, fs, line, git):
    newest = line[-1]
    squashed = newest.squash()
    assert squashed.tree_hash == newest.tree_hash and squashed.parent is None
    assert squashed.ref_name is None and not squashed.writable
    assert store.branches["main"].commit_hash == newest.commit_hash
    onto = newest.squash(parent=fs, message="all of it")
    assert onto.message == "all of it" and onto.parent.commit_hash == fs.commit_hash
    store.branches["squashed"] = onto
    assert git("rev-list", "--count", "squashed") == "2"
    with pytest.raises(TypeError):
        newest.squash(parent="main")


def test_history_made_by_git(store, fs, git):
    tree, tip = fs.tree_hash, fs.commit_hash
    side = git("commit-tree", "-p", tip, "-m", "side", tree)
    merge = git("commit-tree", "-p", tip, "-p", side, "-m", "merge", tree)
    git("update-ref", "refs/heads/main", merge)
    newest = store.branches["main"]
    assert messages(newest.log()) == ["merge", "Initialize main"]
    assert newest.undo().commit_hash == tip


def test_a_long_history(path):
    fs = GitStore.open(path, create="main", durability="relaxed").branches["main"]
    for number in range(300):
        fs = fs.write("n", b"%d" % number)
    assert fs.back(300).message == "Initialize main"
    assert sum(1 for _ in fs.log()) == 301
    assert fs.undo(150).read("n") == b"149"


def commit_of(git, author, *, encoding=None, message=b"m"):
    """A commit with these lines in place of those of its author and committer."""
    tree = git("rev-parse", "main^{tree}").encode()
    lines = [b"tree " + tree, b"author " + author, b"committer " + author]
    if encoding is not None:
        lines.append(b"encoding " + encoding)
    commit = b"\n".join(lines) + b"\n\n" + message + b"\n"
    return git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", input=commit)


@pytest.mark.parametrize(
    "author, name, email, time",
    [
        (b"nobody", "", "", "1970-01-01T00:00:00+00:00"),
        (b"", "", "", "1970-01-01T00:00:00+00:00"),
        (b"A <a@x>", "A", "a@x", "1970-01-01T00:00:00+00:00"),
        (b"A <> 5 +0000", "A", "", "1970-01-01T00:00:05+00:00"),
        (b"A <a@x> 5", "A", "a@x", "1970-01-01T00:00:00+00:00"),
        (b"A <a@x> -5 +0000", "A", "a@x", "1970-01-01T00:00:00+00:00"),
        (b"A <a@x> 86400 -0730", "A", "a@x", "1970-01-01T16:30:00-07:30"),
        (b"A <a@x> 5 -0730", "A", "a@x", "1969-12-31T16:30:05-07:30"),
        (b"A <a@x> 5 +2359", "A", "a@x", "1970-01-01T23:59:05+23:59"),
        (b"A <a@x> 5 +2400", "A", "a@x", "1970-01-01T00:00:05+00:00"),
        (b"A <a@x> 5 -9999", "A", "a@x", "1970-01-01T00:00:05+00:00"),
        (b"A <a@x> 5 +99999999999", "A", "a@x", "1970-01-01T00:00:05+00:00"),
        (b"A <a@x> 253402300799 +2359", "A", "a@x", "9999-12-31T21:59:00+23:59"),
        (b"A <a@x> 9223372036854775807 -0100", "A", "a@x", "9999-12-30T21:00:00-01:00"),
        (b"A <a@x> 99999999999999999999999 +0100", "A", "a@x", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_authors_and_times_that_make_no_sense_are_read_as_git_reads_them(
    tmp_path, author, name, email, time
):
    # Git finds a lot wrong with these.
    store = GitStore.open(tmp_path / "odd.git", create="main")
    fs = FS(store, commit_of(Git(store.path), author))
    assert (fs.author_name, fs.author_email) == (name, email)
    assert fs.time.isoformat() == time
    assert fs.stat().mtime >= 0
    assert [before.hash for before in fs.log()] == [fs.hash]


def test_text_in_the_encoding_that_a_commit_names(store, git):
    author = "Zo\u00eb <z@x> 5 +0000".encode("latin-1")
    message = "caf\u00e9".encode("latin-1")
    fs = FS(store, commit_of(git, author, encoding=b"ISO-8859-1", message=message))
    assert (fs.author_name, fs.message) == ("Zo\u00eb", "caf\u00e9")
    assert [found.hash for found in fs.log(match="caf\u00e9")] == [fs.hash]
    # One that nobody knows leaves the bytes as they are.
    fs = FS(store, commit_of(git, author, encoding=b"none", message=message))
    assert fs.message.encode("utf-8", "surrogateescape") == message
