"""Reading on the command line: `ls`, `cat` and `hash`, on the newest commit and on others."""

import json
import os
import re

import pytest
from store import filled, store

pytestmark = pytest.mark.once


# ls, cat, hash


def test_ls_lists_folders_files_and_patterns(filled):
    assert filled("ls").splitlines() == [".hidden", "hello.txt", "src"]
    assert filled("ls", ":") == filled("ls")
    assert filled("ls", "src").splitlines() == ["main.py", "sub"]
    assert filled("ls", ":src/").splitlines() == ["main.py", "sub"]
    assert filled("ls", "hello.txt") == "hello.txt\n"
    assert filled("ls", "*").splitlines() == ["hello.txt", "src"]
    assert filled("ls", ".*") == ".hidden\n"
    assert filled("ls", ":src/*.py", "src/m*") == "src/main.py\n"
    assert filled("ls", "*.zzz") == ""
    assert filled("ls", "hello.txt", ":src").splitlines() == ["hello.txt", "main.py", "sub"]
    assert "not found" in filled.error("ls", "--no-glob", "*").lower()
    assert "not found" in filled.error("ls", ":src", ":absent").lower()
    assert "invalid" in filled.error("ls", ":../x").lower()


def test_ls_recursive_lists_all_files_below(filled):
    everything = [".hidden", "hello.txt", "src/main.py", "src/sub/deep.txt"]
    assert filled("ls", "-R").splitlines() == everything
    assert filled("ls", "-R", ":src", "src").splitlines() == everything[2:]
    assert filled("ls", "-R", "src/*").splitlines() == everything[2:]
    assert filled("ls", "-R", "hello.txt") == "hello.txt\n"
    assert filled.json("ls", "-R", "--format", "json") == everything


def test_ls_long_shows_ids_sizes_and_targets(filled, tmp_path):
    os.symlink("hello.txt", tmp_path / "link")
    filled("cp", "link", ":link")
    hello = filled.git("rev-parse", "main:hello.txt").strip()
    lines = filled("ls", "-l").splitlines()
    assert f"{hello[:7]}  12  hello.txt" in lines
    assert any(line.endswith("  link -> hello.txt") for line in lines)
    assert any(re.fullmatch(r"[0-9a-f]{7}      src/", line) for line in lines), lines
    assert hello in filled("ls", "-l", "--full-hash")
    entries = {entry["name"]: entry for entry in filled.json("ls", "-l", "--format", "json")}
    assert entries["hello.txt"] == {"name": "hello.txt", "hash": hello, "size": 12, "type": "blob"}
    assert entries["link"]["target"] == "hello.txt" and entries["link"]["type"] == "link"
    assert entries["src/"]["type"] == "tree" and "size" not in entries["src/"]
    lines = filled("ls", "-l", "--format", "jsonl").splitlines()
    assert [json.loads(line)["name"] for line in lines] == sorted(entries)


def test_cat_concatenates_bytes(filled):
    filled("write", "bin", input=bytes(range(256)), text=False)
    assert filled("cat", "bin", "hello.txt", text=False) == bytes(range(256)) + b"hello world\n"
    assert "not found" in filled.error("cat", "absent", "hello.txt").lower()
    assert "directory" in filled.error("cat", "src").lower()
    assert "empty" in filled.error("cat", ":").lower()


def test_file_names_may_be_any_bytes(filled):
    name = b"caf\xe9\n\x01"
    filled("write", b":" + name, input="x")
    assert name in filled("ls", text=False)
    assert filled("cat", b":" + name) == "x"
    filled("rm", b":" + name)
    assert name not in filled("ls", text=False)


def test_hash_prints_ids(filled):
    rev = lambda name: filled.git("rev-parse", name)  # noqa: E731
    assert filled("hash") == rev("main") == filled("hash", "main") == filled("hash", "main:")
    assert filled("hash", "~2") == rev("main~2")
    assert filled("hash", ":hello.txt") == rev("main:hello.txt")
    assert filled("hash", "main~1:src") == rev("main~1:src")
    assert filled.json("hash", "--format", "json")["type"] == "commit"
    assert filled.json("hash", ":src", "--format", "json")["type"] == "tree"
    assert filled.json("hash", ":hello.txt", "--format", "json") == {
        "hash": rev("main:hello.txt").strip(), "type": "blob", "path": "hello.txt"
    }  # fmt: skip


# ref:path


def test_refs_in_paths_choose_commits(filled):
    filled("branch", "set", "dev")
    filled("tag", "set", "v1")
    filled("write", "dev:hello.txt", input="dev\n")
    assert filled("cat", "main:hello.txt", "dev:hello.txt", "v1:hello.txt") == "hello world\ndev\nhello world\n"
    assert filled("cat", "dev~1:hello.txt") == "hello world\n"
    assert filled("cat", ":hello.txt", "-b", "dev") == "dev\n"
    assert filled("cat", "hello.txt", "--ref", "v1") == "hello world\n"
    short = filled("hash", "v1")[:8]
    assert filled("cat", f"{short}:hello.txt") == "hello world\n"
    assert "Unknown ref" in filled.error("cat", "absent:hello.txt")
    assert "not a commit" in filled.error("ls", "--ref", filled("hash", ":src").strip()).lower()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["ls", "main:", "-b", "dev"], "-b"),
        (["cat", "main:hello.txt", "--ref", "dev"], "--ref"),
        (["log", "main:", "--ref", "main"], "--ref"),
        (["diff", "dev:", "-b", "main"], "-b"),
        (["cat", "~1:hello.txt", "--back", "1"], "--back"),
        (["ls", "main:", "dev:", "--back", "1"], "different refs"),
        (["ls", "main~0:"], "~0"),
        (["ls", "main~x:"], "positive integer"),
        (["write", "~1:a"], "historical"),
        (["write", "v1:a"], "tag"),
        (["rm", "main:hello.txt", "dev:hello.txt"], "same branch"),
        (["mv", "hello.txt", ":b"], "':'"),
        (["mv", ":a"], "at least two"),
        (["write", "absent:a"], "Branch not found"),
        (["log", ":a", "--path", "b"], "--path"),
        (["ls", "--before", "yesterday"], "ISO 8601"),
        (["ls", "--match", "nothing*"], "No matching commits found"),
        (["ls", "--back", "99"], "history too short"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(filled, args, says):
    filled("branch", "set", "dev")
    filled("tag", "set", "v1")
    before = filled("hash"), filled("hash", "dev")
    assert says in filled.error(*args, input="")
    assert (filled("hash"), filled("hash", "dev")) == before


def test_filters_choose_the_newest_commit_that_matches(filled):
    assert filled("ls", "--path", "hello.txt") == "hello.txt\n"
    assert filled("ls", "--match", "*main.py").splitlines() == ["hello.txt", "src"]
    assert filled("ls", "--match", "*main.py", "--back", "1") == "hello.txt\n"
    assert filled("ls", "main:", "--back", "3") == "hello.txt\n"
    assert "No matching" in filled.error("ls", "--before", "2001-01-01")
    assert filled("ls", "--before", "2999-01-01") == filled("ls")


def test_a_file_is_listed_once_with_or_without_a_slash_behind_it(filled):
    assert filled("ls", "hello.txt/") == "hello.txt\n"
    assert filled("ls", "src/main.py", ":src/main.py/") == "src/main.py\n"
