"""Archives, backups and restores on the command line."""

import io
import json
import os
import subprocess
import tarfile
import zipfile

import pytest
from store import Gitstore, environment

pytestmark = pytest.mark.once


@pytest.fixture
def store(tmp_path):
    made = Gitstore(tmp_path)
    made.file("src/hello.txt", "hello world\n")
    made.file("src/data/bytes", bytes(range(256)))
    made.file("src/run.sh", "#!/bin/sh\n", mode=0o755)
    os.symlink("hello.txt", tmp_path / "src/link")
    made("sync", "src")
    yield made
    made.check()


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_an_archive_comes_back_as_it_went(store, name):
    store("archive_out", name)
    store("-r", "other.git", "archive_in", name)
    assert store("-r", "other.git", "ls", "-R", "-l", "--full-hash") == store("ls", "-R", "-l", "--full-hash")
    modes = [store.git("-C", repo, "ls-tree", "-r", "main") for repo in (store.repo, store.folder / "other.git")]
    assert modes[0] == modes[1]
    assert [file for file in os.listdir(store.folder) if file.startswith(".archive")] == []


def test_other_programs_read_what_is_written(store):
    store("zip", "a.zip")
    with zipfile.ZipFile(store.folder / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("data/bytes") == bytes(range(256))
        assert archive.getinfo("link").external_attr >> 28 == 0o12 and archive.read("link") == b"hello.txt"
        assert archive.getinfo("run.sh").external_attr >> 16 & 0o111
        assert {info.create_system for info in archive.infolist()} == {3}
    streamed = store("tar", "-", text=False)
    with tarfile.open(fileobj=io.BytesIO(streamed)) as archive:
        assert archive.extractfile("hello.txt").read() == b"hello world\n"
        assert archive.getmember("link").issym() and archive.getmember("run.sh").mode & 0o111
    assert zipfile.ZipFile(io.BytesIO(store("archive_out", "-", "--format", "zip", text=False))).testzip() is None


def test_what_other_programs_write_is_read(store):
    with zipfile.ZipFile(store.folder / "in.zip", "w") as archive:
        archive.writestr("./dir/deep.txt", "deep")
        archive.writestr("top.txt", "top")
    store("unzip", "in.zip", "-m", "Imported", "--tag", "v1")
    assert store("cat", "v1:dir/deep.txt", ":top.txt") == "deeptop" and "Imported" in store("log")
    subprocess.run(["tar", "-C", store.folder / "src", "-czf", store.folder / "in.tar.gz", "."], check=True)
    store("untar", "in.tar.gz", "-b", "main")
    plain = subprocess.run(["tar", "-C", store.folder / "src", "-cf", "-", "."], check=True, capture_output=True).stdout
    store("-r", "piped.git", "untar", input=plain, text=False)
    assert store("-r", "piped.git", "cat", "hello.txt") == "hello world\n"


def test_another_form_than_was_said_is_named(store):
    for name, says in [
        ("a.tar.gz", "it is compressed with gzip: its format is tar.gz"),
        ("a.tar.bz2", "it is compressed with bzip2: its format is tar.bz2"),
        ("a.tar.xz", "it is compressed with xz: its format is tar.xz"),
        ("a.zip", "it is a zip"),
    ]:
        store("archive_out", name)
        os.rename(store.folder / name, store.folder / "odd")
        complaint = store.error("archive_in", "odd", "--format", "tar")
        assert says in complaint and "`archive_in --format` takes other forms" in complaint, complaint
    # A tar may begin so, as it begins with a name.
    store("write", "BZh", input="odd")
    store("tar", "b.tar")
    store("-r", "other.git", "untar", "b.tar")
    assert store("-r", "other.git", "cat", "BZh") == "odd"


def test_formats_have_their_usual_names(store):
    for names, mode in [(("tgz", "tar.gz", "TGZ"), "gz"), (("tbz2", "tar.bz2"), "bz2"), (("txz", "tar.xz"), "xz")]:
        for name in names:
            data = store("archive_out", "-", "--format", name, text=False)
            with tarfile.open(fileobj=io.BytesIO(data), mode=f"r:{mode}") as archive:
                assert "hello.txt" in archive.getnames()
            store("-r", f"{name}.git", "archive_in", "--format", name, input=data, text=False)
            assert store("-r", f"{name}.git", "cat", "hello.txt") == "hello world\n"
    store("archive_out", "odd.name", "--format", "tgz")
    store("archive_out", "a.tbz", "--format", "tar")
    assert tarfile.open(store.folder / "a.tbz", "r:bz2").getnames()
    complaint = store.fails("archive_out", "-", "--format", "rar", status=2)
    assert "tar.gz (tgz)" in complaint and "'rar'" in complaint


def test_zips_of_other_methods_are_read(store):
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(store.folder / "in.zip", "w", method) as archive:
            archive.writestr("packed", f"{method}" * 100)
        store("unzip", "in.zip")
        assert store("cat", "packed") == f"{method}" * 100


def test_a_dry_run_shows_what_would_be_taken_in(store):
    before = store("hash")
    with zipfile.ZipFile(store.folder / "in.zip", "w") as archive:
        archive.writestr("hello.txt", "other")
        archive.writestr("new", "new")
        archive.writestr("link/below", "in the way of a link")
    dry = store("archive_in", "-n", "in.zip", "--tag", "v1")
    assert dry.splitlines() == ["~ :hello.txt", "- :link", "+ :link/below", "+ :new"]
    assert store("hash") == before and store("tag") == ""
    assert store("-r", "never.git", "unzip", "-n", "in.zip").splitlines() == ["+ :hello.txt", "+ :link/below", "+ :new"]
    assert "not found" in store.error("-r", "never.git", "unzip", "-n", "--no-create", "in.zip").lower()
    assert not (store.folder / "never.git").exists()
    store("unzip", "in.zip")
    assert store("archive_in", "-n", "in.zip") == ""


def test_a_file_that_is_a_folder_too_is_refused(store):
    before = store("hash")
    for names in (["a", "a/b"], ["a/b", "a"]):
        with zipfile.ZipFile(store.folder / "in.zip", "w") as archive:
            for name in names:
                archive.writestr(name, "x")
        for args in (["unzip", "in.zip"], ["unzip", "-n", "in.zip"]):
            assert "'a' as a file and as a folder, with 'a/b' in it" in store.error(*args)
    assert store("hash") == before


def test_archives_of_the_past(store):
    store("write", "later", input="x")
    store("zip", "past.zip", "--back", "1")
    assert "later" not in zipfile.ZipFile(store.folder / "past.zip").namelist()
    assert "No matching" in store.error("zip", "none.zip", "--match", "nothing*")
    assert not (store.folder / "none.zip").exists()


def test_bad_archives_change_nothing(store):
    before = store("hash")
    store.file("bad.zip", "this is not a zip")
    assert "zip" in store.error("unzip", "bad.zip").lower()
    with zipfile.ZipFile(store.folder / "empty.zip", "w"):
        pass
    assert "no files" in store.error("unzip", "empty.zip").lower()
    with tarfile.open(store.folder / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("ok.txt"))
        archive.addfile(tarfile.TarInfo("../escape"))
    store.error("untar", "evil.tar")
    assert "not known" in store.error("archive_in", store.file("x.rar", "x"))
    assert "--format" in store.error("archive_out", "-")
    assert "not found" in store.error("unzip", "absent.zip").lower()
    assert store("hash") == before
    store.error("-r", "never.git", "unzip", "absent.zip")
    assert not (store.folder / "never.git").exists()


# backups


def refs(repo):
    done = subprocess.run(["git", "-C", repo, "show-ref"], capture_output=True, text=True, env=environment())
    return done.stdout


def test_a_backup_is_a_mirror(store, tmp_path):
    store("tag", "set", "v1")
    store("branch", "set", "dev", "--back", "1")
    store("note", "set", "a note")
    lines = store("backup", "-n", "copy.git").splitlines()
    assert lines[-1] == "4 ref(s) would be changed." and not (tmp_path / "copy.git").exists()
    assert f"  create  refs/heads/main  {store('hash')[:7]}" in lines
    assert store("backup", "copy.git") == ""
    assert refs(tmp_path / "copy.git") == refs(store.repo)
    assert store("backup", "-n", "copy.git") == "Nothing to push — already in sync.\n"
    store("branch", "delete", "dev")
    store("write", "more", input="x")
    changed = store.json("backup", "-n", "--output-format", "json", "copy.git")
    assert [change["ref"] for change in changed["delete"]] == ["refs/heads/dev"] and changed["total"] == 2
    actions = [json.loads(line)["action"] for line in store("backup", "-n", "--output-format", "jsonl", "copy.git").splitlines()]
    assert sorted(actions) == ["delete", "update"]
    # What was done is told in the same form to those who ask for one.
    done = store("backup", "--output-format", "jsonl", f"file://{tmp_path}/copy.git")
    assert sorted(json.loads(line)["action"] for line in done.splitlines()) == ["delete", "update"]
    assert refs(tmp_path / "copy.git") == refs(store.repo)
    assert store("backup", "--output-format", "jsonl", "copy.git") == ""
    assert store.json("backup", "--output-format", "json", "copy.git")["in_sync"] is True
    restored = store("-r", "other.git", "restore", "--output-format", "jsonl", "copy.git").splitlines()
    brought = [json.loads(line) for line in restored]
    assert "".join(f"{change['new_target']} {change['ref']}\n" for change in brought) == refs(tmp_path / "copy.git")


def test_a_restore_brings_everything_back(store, tmp_path):
    store("tag", "set", "v1")
    store("backup", "copy.git")
    store("-r", "new.git", "restore", "copy.git")
    assert refs(tmp_path / "new.git") == refs(store.repo)
    assert store("-r", "new.git", "cat", "hello.txt") == "hello world\n"
    store("-r", "new.git", "branch", "set", "mine")
    store("-r", "new.git", "restore", "--additive", "copy.git")
    assert store("-r", "new.git", "branch") == "main\nmine\n"
    assert "delete  refs/heads/mine" in store("-r", "new.git", "restore", "-n", "copy.git")
    shown = store("-r", "none.git", "restore", "-n", "copy.git").splitlines()
    names = store.git("for-each-ref", "--format=%(refname)").split()
    assert [line.split()[:2] for line in shown[:-1]] == [["create", name] for name in names]
    assert "not found" in store.error("-r", "none.git", "restore", "-n", "--no-create", "copy.git")
    assert not (store.folder / "none.git").exists()
    store("-r", "new.git", "restore", "copy.git")
    assert store("-r", "new.git", "branch") == "main\n"
    assert "not found" in store.error("-r", "absent.git", "restore", "--no-create", "copy.git").lower()


def test_backups_go_to_paths_of_any_bytes(store, tmp_path):
    for number, name in enumerate((b"\xff.git", b"\xff.bundle")):
        assert store("backup", name) == "" and os.path.exists(os.path.join(os.fsencode(tmp_path), name))
        assert store("backup", "-n", name) == "Nothing to push — already in sync.\n"
        store("-r", f"{number}.git", "restore", name)
        assert refs(tmp_path / f"{number}.git") == refs(store.repo)
    assert "UTF-8" in store.error("backup", b"https://127.0.0.1:1/\xff")


def test_bundles_hold_chosen_refs(store, tmp_path):
    store("write", "more", "--tag", "v1", input="x")
    store("backup", "all.bundle")
    store("backup", "flat.bundle", "--ref", "main", "--squash")
    for bundle, commits in (("all.bundle", 3), ("flat.bundle", 1)):
        clone = tmp_path / bundle.removesuffix(".bundle")
        subprocess.run(["git", "clone", "-q", "-b", "main", tmp_path / bundle, clone], check=True, env=environment())
        log = subprocess.run(["git", "-C", clone, "log", "--oneline"], capture_output=True, text=True, env=environment())
        assert len(log.stdout.splitlines()) == commits
    store("-r", "one.git", "restore", "all.bundle", "--ref", "v1")
    assert refs(tmp_path / "one.git").split()[1::2] == ["refs/tags/v1"]
    store("-r", "renamed.git", "restore", "all.bundle", "--ref", "main:trunk")
    assert store("-r", "renamed.git", "branch") == "trunk\n"
    store("-r", "short.git", "restore", "--squash", "all.bundle")
    assert len(store("-r", "short.git", "log").splitlines()) == 1
    assert "bundles only" in store.error("-r", "short.git", "restore", "--squash", "data.git")


def test_urls_that_cannot_be_used(store):
    assert "scp-style" in store.error("backup", "host:path/repo.git")
    store.error("restore", "absent.git")
    store.error("backup", "https://127.0.0.1:1/x.git")


def test_a_pipe_stays_a_pipe_and_permissions_are_those_of_other_programs(store):
    plain = store.file("plain")
    store("tar", "a.tar")
    assert (store.folder / "a.tar").stat().st_mode == plain.stat().st_mode
    pipe = store.folder / "pipe"
    os.mkfifo(pipe)
    for command, expected in [
        (("tar", "pipe"), (store.folder / "a.tar").read_bytes()),
        (("cp", ":hello.txt", "pipe"), b"hello world\n"),
    ]:
        reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
        try:
            store(*command)
            assert reader.communicate(timeout=60)[0] == expected
        finally:
            reader.kill()
        assert pipe.is_fifo()
    assert "is no file" in store.error("cp", ":link", "pipe")
