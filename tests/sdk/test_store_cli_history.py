"""History and refs on the command line: log, diff, undo, branches, tags and notes."""

import json
import re

import pytest
from store import environment, filled, store

pytestmark = pytest.mark.once


# history


def test_log_lists_commits_newest_first(filled):
    lines = filled("log").splitlines()
    assert len(lines) == 5
    assert re.fullmatch(r"[0-9a-f]{7}  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00  Write \.hidden", lines[0]), lines[0]
    assert lines[-1].endswith("  Initialize main")
    entry = filled.json("log", "--format", "json")[0]
    assert set(entry) == {"hash", "message", "time", "author_name", "author_email", "branch"}
    assert entry["hash"] == filled("hash").strip() and entry["branch"] == "main"
    hashes = [json.loads(line)["hash"] for line in filled("log", "--format", "jsonl").splitlines()]
    assert hashes == filled.git("log", "--format=%H", "main").split()


def test_log_takes_paths_and_refs(filled):
    filled("branch", "set", "dev", "--back", "2")
    only = filled("log", "--path", "src")
    assert len(only.splitlines()) == 2
    assert filled("log", "src") == filled("log", ":src") == filled("log", "main:src") == only
    assert len(filled("log", "~3:").splitlines()) == 2 == len(filled("log", "--back", "3").splitlines())
    assert filled("log", "dev") == filled("log", "--ref", "dev") == filled("log", "main~2:")
    assert filled("log", "--match", "*hello*").count("\n") == 1
    assert filled("log", "absent") == ""
    assert "invalid" in filled.error("log", "--path", "../x").lower()


def test_diff_compares_the_branch_with_a_baseline(filled):
    filled("write", "hello.txt", input="changed\n")
    filled("rm", ".hidden")
    assert filled("diff", "~2").splitlines() == ["D  .hidden", "M  hello.txt"]
    assert filled("diff", "--back", "2") == filled("diff", "main~2:") == filled("diff", "~2:")
    assert filled("diff", "~2", "--reverse").splitlines() == ["A  .hidden", "M  hello.txt"]
    assert filled("diff") == "" == filled("diff", "main")
    assert filled.json("diff", "~2", "--format", "json")[1] == {"path": "hello.txt", "status": "M"}
    assert filled("diff", "main~5:src").splitlines() == ["A  src/main.py", "A  src/sub/deep.txt"]


def test_cmp_compares_stored_and_local_files(filled):
    same = filled.file("same.txt", "hello world\n")
    filled("write", "copy", input="hello world\n")
    assert filled("cmp", ":hello.txt", ":copy") == "" == filled("cmp", ":hello.txt", same) == filled("cmp", same, "~1:hello.txt")
    assert filled.fails("cmp", ":hello.txt", ":src/main.py") == ""
    verbose = filled.run("-v", "cmp", ":hello.txt", same).stderr.splitlines()
    blob = filled("hash", ":hello.txt").strip()
    assert verbose == [f"{blob}  :hello.txt", f"{blob}  {same}"]
    assert "not found" in filled.error("cmp", ":hello.txt", ":absent").lower()
    assert "not found" in filled.error("cmp", ":hello.txt", "absent").lower()
    assert "directory" in filled.error("cmp", ":src", same).lower()
    assert filled("cmp", same, same, env=environment()) == "", "local files need no repository"


def test_undo_and_redo_move_along_the_reflog(filled):
    tips = filled.git("log", "--format=%h %s", "main").splitlines()
    assert filled("undo") == f"Branch now at: {tips[1].replace(' ', ' - ', 1)}\n"
    assert filled("redo") == f"Branch now at: {tips[0].replace(' ', ' - ', 1)}\n"
    filled("undo", "3")
    assert filled("ls") == "hello.txt\n"
    assert "Cannot undo" in filled.error("undo", "9")
    filled("redo")
    assert filled("hash").startswith(tips[0].split()[0])


def test_reflog_shows_what_was_done(filled):
    filled("undo")
    lines = filled("reflog").splitlines()
    assert lines[0] == "Reflog for branch 'main' (5 entries):"
    assert lines[-1].endswith("undo: move back")
    entries = filled.json("reflog", "--format", "json", "-n", "2")
    assert [entry["message"] for entry in entries] == ["commit: Write .hidden", "undo: move back"]
    assert entries[1]["new_sha"] == filled("hash").strip() and entries[1]["committer"] == "gitstore <gitstore@localhost>"
    assert "Branch not found" in filled.error("reflog", "-b", "absent")


# refs


def test_branches(filled):
    filled("branch", "set", "dev")
    assert filled("branch", "list") == "dev\nmain\n" == filled("branch")
    assert filled.json("branch", "list", "--format", "json") == ["dev", "main"]
    assert "already exists" in filled.error("branch", "set", "dev")
    filled("branch", "set", "dev", "-f", "--back", "2")
    assert filled("branch", "hash", "dev") == filled("hash", "~2")
    assert filled("branch", "hash", "main", "--back", "2") == filled("hash", "~2")
    assert filled.json("branch", "hash", "main", "--format", "json")["branch"] == "main"
    assert filled.fails("branch", "exists", "absent") == "" == filled("branch", "exists", "dev")
    filled("branch", "current", "-b", "dev")
    assert filled("branch", "current") == "dev\n"
    assert filled.json("branch", "current", "--format", "json") == {"name": "dev"}
    filled("branch", "delete", "dev")
    assert "not found" in filled.error("branch", "delete", "dev").lower()
    assert "HEAD" in filled.error("branch", "current")
    assert "colon" in filled.error("branch", "set", "a:b", "--ref", "main").lower()
    assert "Unknown ref" in filled.error("branch", "set", "x", "--ref", "absent")


def test_branches_are_emptied_squashed_and_appended_to(filled):
    filled("branch", "set", "empty", "--empty")
    assert filled("ls", "-b", "empty") == "" and filled("log", "-b", "empty").endswith("Initialize empty\n")
    assert "already exists" in filled.error("branch", "set", "empty", "--empty")
    assert "--empty cannot be combined" in filled.error("branch", "set", "e2", "--empty", "--ref", "main")
    filled("branch", "set", "flat", "--ref", "main", "--squash")
    assert filled("ls", "-R", "flat:") == filled("ls", "-R") and len(filled("log", "-b", "flat").splitlines()) == 1
    filled("branch", "set", "empty", "--append", "--ref", "main")
    assert filled("ls", "-R", "empty:") == filled("ls", "-R") and len(filled("log", "-b", "empty").splitlines()) == 2
    assert "not found" in filled.error("branch", "set", "absent", "--append").lower()


def test_tags(filled):
    filled("tag", "set", "v1", "--back", "1")
    assert filled("tag") == "v1\n" == filled("tag", "list")
    assert filled("tag", "hash", "v1") == filled("hash", "~1")
    assert filled.json("tag", "hash", "v1", "--format", "json")["tag"] == "v1"
    assert "already exists" in filled.error("tag", "set", "v1")
    filled("tag", "set", "v1", "-f")
    assert filled("tag", "hash", "v1") == filled("hash")
    assert filled.fails("tag", "exists", "absent") == "" == filled("tag", "exists", "v1")
    filled("tag", "delete", "v1")
    assert "not found" in filled.error("tag", "delete", "v1").lower()
    assert "not found" in filled.error("tag", "hash", "v1").lower()


def test_notes(filled):
    commit = filled("hash").strip()
    filled("note", "set", "on the tip")
    filled("note", "set", "main~1", "older")
    filled("note", "set", "-N", "reviews", commit, "fine")
    assert filled("note", "get") == "on the tip\n" == filled("note", "get", ":") == filled("note", "get-current")
    assert filled("note", "get", "~1") == "older\n"
    assert filled("note", "get", "main", "-N", "reviews") == "fine\n"
    assert filled.git("notes", "show", commit) == "on the tip"
    assert set(filled("note", "list").split()) == {commit, filled("hash", "~1").strip()}
    filled("note", "delete", commit)
    assert "not found" in filled.error("note", "get", commit).lower()
    filled("note", "set-current", "again")
    assert filled("note", "get-current") == "again\n"
