"""`--json` on the command line: every command that succeeds prints one JSON value, and nothing else."""

import base64
import json
import os

import pytest
from store import Gitstore, environment, filled, store

pytestmark = pytest.mark.once


def value(store, *args, status=0, **options):
    """What a command prints under `--json`: one line, and no complaint."""
    done = store.run("--json", *args, **options)
    assert (done.returncode, done.stderr) == (status, ""), (args, done.returncode, done.stdout, done.stderr)
    assert done.stdout.endswith("\n") and done.stdout.count("\n") == 1, (args, done.stdout)
    return json.loads(done.stdout)


def test_a_repository_that_is_made_and_removed_is_named(store):
    path = os.path.realpath(store.repo)
    made = value(store, "init")
    assert made == {"repository": path, "branch": "main", "commit": store("hash").strip(), "replaced": False}
    again = value(store, "init", "--force", "-b", "trunk")
    assert again == {"repository": path, "branch": "trunk", "commit": store("hash").strip(), "replaced": True}
    assert value(store, "destroy") == {"repository": path, "destroyed": True}


def test_branches_say_where_they_are_and_were(filled):
    tip, before = filled("hash").strip(), filled("hash", "~1").strip()
    assert value(filled, "branch", "set", "dev") == {"branch": "dev", "commit": tip, "old_commit": None}
    moved = value(filled, "branch", "set", "dev", "--force", "--back", "1")
    assert moved == {"branch": "dev", "commit": before, "old_commit": tip}
    empty = value(filled, "branch", "set", "empty", "--empty")
    assert empty == {"branch": "empty", "commit": filled("hash", "empty").strip(), "old_commit": None}
    appended = value(filled, "branch", "set", "empty", "--append", "--squash", "--ref", "main")
    assert appended == {"branch": "empty", "commit": filled("hash", "empty").strip(), "old_commit": empty["commit"]}
    squashed = value(filled, "branch", "set", "flat", "--squash")
    assert squashed["commit"] == filled("hash", "flat").strip() != tip
    assert value(filled, "branch", "exists", "dev") == {"branch": "dev", "exists": True}
    assert value(filled, "branch", "exists", "absent", status=1) == {"branch": "absent", "exists": False}
    assert value(filled, "branch", "current", "-b", "dev") == {"name": "dev"} == value(filled, "branch", "current")
    assert value(filled, "branch", "hash", "dev") == {"branch": "dev", "hash": before}
    assert value(filled, "branch", "delete", "dev") == {"branch": "dev", "commit": None, "old_commit": before}
    assert value(filled, "branch") == ["empty", "flat", "main"] == value(filled, "branch", "list")


def test_tags_say_where_they_are_and_were(filled):
    tip, before = filled("hash").strip(), filled("hash", "~1").strip()
    assert value(filled, "tag", "set", "v1", "--back", "1") == {"tag": "v1", "commit": before, "old_commit": None}
    assert value(filled, "tag", "set", "v1", "--force") == {"tag": "v1", "commit": tip, "old_commit": before}
    assert value(filled, "tag", "exists", "v1") == {"tag": "v1", "exists": True}
    assert value(filled, "tag", "exists", "v2", status=1) == {"tag": "v2", "exists": False}
    assert value(filled, "tag", "hash", "v1") == {"tag": "v1", "hash": tip}
    assert value(filled, "tag", "delete", "v1") == {"tag": "v1", "commit": None, "old_commit": tip}
    assert value(filled, "tag") == [] == value(filled, "tag", "list")
    # One that names no commit can be deleted all the same.
    filled.git("tag", "tree", "main^{tree}")
    assert value(filled, "tag", "delete", "tree") == {"tag": "tree", "commit": None, "old_commit": None}


def test_notes_say_what_they_are_and_were(filled):
    tip, before = filled("hash").strip(), filled("hash", "~1").strip()

    def note(commit, text, old, namespace="commits"):
        return {"namespace": namespace, "commit": commit, "note": text, "old_note": old}

    assert value(filled, "note", "set", "one") == note(tip, "one", None)
    assert value(filled, "note", "set-current", "two\n") == note(tip, "two\n", "one")
    assert value(filled, "note", "set", "~1", "x", "-N", "reviews") == note(before, "x", None, "reviews")
    assert value(filled, "note", "get") == "two\n" == value(filled, "note", "get-current")
    assert value(filled, "note", "list") == [tip]
    assert value(filled, "note", "delete") == note(tip, None, "two\n")
    assert "Note not found" in filled.error("--json", "note", "delete")


def test_undo_and_redo_say_where_the_branch_was(filled):
    tip, before = filled("hash").strip(), filled("hash", "~1").strip()
    message = {"message": "Write src/sub/deep.txt"}
    assert value(filled, "undo") == {"branch": "main", "commit": before, "old_commit": tip} | message
    message = {"message": "Write .hidden"}
    assert value(filled, "redo") == {"branch": "main", "commit": tip, "old_commit": before} | message


def test_cmp_says_whether_files_are_equal(filled):
    same = filled.file("same.txt", "hello world\n")
    blob = filled("hash", ":hello.txt").strip()
    files = [{"path": ":hello.txt", "hash": blob}, {"path": str(same), "hash": blob}]
    assert value(filled, "cmp", ":hello.txt", same) == {"equal": True, "files": files}
    compared = value(filled, "cmp", ":hello.txt", "main:.hidden", status=1)
    assert not compared["equal"] and compared["files"][1]["path"] == "main:.hidden"


def test_cat_shows_content_as_text_or_base64(filled):
    # Characters of several bytes on every border of what is read at once.
    long = "x" + "é" * 300_000
    filled("write", "long", input=long)
    filled("write", "bytes", input=bytes(range(256)) * 3000, text=False)
    filled("write", "cut", input=b"caf\xc3", text=False)
    filled("write", "empty", input="")
    shown = {file["path"]: file for file in value(filled, "cat", "long", "bytes", ":cut", "empty", ":hello.txt")}
    assert list(shown) == ["long", "bytes", "cut", "empty", "hello.txt"]
    assert shown["long"]["text"] == long and shown["empty"]["text"] == ""
    assert base64.b64decode(shown["bytes"]["base64"]) == bytes(range(256)) * 3000
    assert base64.b64decode(shown["cut"]["base64"]) == b"caf\xc3" and "text" not in shown["cut"]
    blob = filled("hash", ":hello.txt").strip()
    assert shown["hello.txt"] == {"path": "hello.txt", "hash": blob, "size": 12, "text": "hello world\n"}
    failed = filled.run("--json", "cat", "hello.txt", "absent")
    assert failed.returncode == 1 and failed.stdout == "", "half a list is no JSON"


def test_archives_say_what_is_in_them(filled):
    tip = filled("hash").strip()
    for args in (["archive_out", "a.tgz"], ["tar", "a.tar"], ["zip", "a.zip"]):
        assert value(filled, *args) == {"file": args[1], "commit": tip, "count": 4}
    other = Gitstore(filled.folder)
    other.env = environment(GITSTORE_REPO=str(filled.folder / "other.git"))
    for args in (["archive_in", "a.tgz"], ["untar", "a.tar"], ["unzip", "a.zip"]):
        assert value(other, *args)["branch"] == "main"


def test_other_commands_print_one_value_too(filled):
    filled.file("site/index.html", "<p>")
    for args in (
        ["write", "a"],
        ["ls"],
        ["ls", "-l"],
        ["hash"],
        ["log"],
        ["diff", "~1"],
        ["reflog"],
        ["mv", ":a", ":b"],
        ["rm", "-n", "b"],
        ["rm", "b"],
        ["cp", "site", ":"],
        ["cp", ":site", "copy"],
        ["sync", "site", ":site"],
        ["sync", ":site", "copy"],
        ["backup", "-n", "copy.git"],
        ["backup", "copy.git"],
        ["restore", "copy.git"],
        ["pack"],
        ["gc"],
    ):
        value(filled, *args, input="a")


def test_bytes_and_json_do_not_share_an_output(filled):
    before = filled("hash")
    for args in (["write", "-p", "a"], ["tar", "-"], ["archive_out", "-", "--format", "zip"]):
        done = filled.run("--json", *args, input="a")
        assert (done.returncode, done.stdout) == (1, ""), args
        assert "both JSON and" in done.stderr and "hint: leave out --json" in done.stderr
    assert filled("hash") == before
