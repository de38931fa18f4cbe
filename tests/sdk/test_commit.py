"""Commits through the SDK's builder: contents, modes, deletions, and every rule about branches."""

import asyncio
import hashlib

import pytest
from conftest import SDK_1, commit, create_branch, read
from pierre_storage import RefUpdateError
from pierre_storage.types import GitFileMode
from wire import AUTHOR

ZERO = "0" * 40
MIB = 1 << 20


async def head(repo, branch="main"):
    page = await repo.list_branches(limit=100)
    return next((b["head_sha"] for b in page["branches"] if b["name"] == branch), None)


async def refused(coroutine, status, message=None):
    with pytest.raises(RefUpdateError) as error:
        await coroutine
    assert error.value.status == status, error.value.message
    assert error.value.reason == status
    if message:
        assert message in error.value.message
    return error.value


async def test_the_first_commit_creates_the_branch(repo):
    result = await commit(repo, {"README.md": "# Hello\n"})
    assert result["target_branch"] == "main"
    assert result["blob_count"] == 1
    assert result["pack_bytes"] > 0
    assert result["ref_update"] == {"branch": "main", "old_sha": ZERO, "new_sha": result["commit_sha"]}
    assert len(result["tree_sha"]) == 40
    assert await read(repo, "README.md") == b"# Hello\n"


async def test_the_next_commit_goes_on_top(repo):
    first = await commit(repo, {"a": "1"})
    second = await commit(repo, {"b": "2"})
    assert second["ref_update"]["old_sha"] == first["commit_sha"]
    assert (await repo.list_files())["paths"] == ["a", "b"]
    log = (await repo.list_commits())["commits"]
    assert [c["sha"] for c in log] == [second["commit_sha"], first["commit_sha"]]


async def test_object_ids_are_those_git_computes(repo):
    """An object's id follows from its bytes: this commit's tree is known beforehand."""
    result = await commit(repo, {"hello.txt": "hello\n"})
    blob = hashlib.sha1(b"blob 6\0hello\n").digest()
    entry = b"100644 hello.txt\0" + blob
    assert result["tree_sha"] == hashlib.sha1(b"tree %d\0" % len(entry) + entry).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 8 * MIB], ids=str)
async def test_any_number_of_chunks(repo, size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    await commit(repo, {"blob": content})
    assert await read(repo, "blob") == content


async def test_an_iterator_that_ends_in_an_empty_piece(repo):
    async def pieces():
        yield bytes(4 * MIB)
        yield b""

    await repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR).add_file("f", pieces()).send()
    assert await read(repo, "f") == bytes(4 * MIB)


async def test_a_stream_of_many_small_pieces(repo):
    async def pieces():
        for number in range(5000):
            yield b"%05d " % number
            if number % 1000 == 0:
                await asyncio.sleep(0)

    await repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR).add_file("f", pieces()).send()
    assert await read(repo, "f") == b"".join(b"%05d " % n for n in range(5000))


async def test_many_files_in_one_commit(repo):
    files = {f"dir-{n % 17}/sub-{n % 5}/file-{n}.txt": f"content {n}\n" for n in range(800)}
    result = await commit(repo, files)
    assert result["blob_count"] == 800
    assert (await repo.list_files())["paths"] == sorted(files)


async def test_modes_are_kept(repo):
    builder = repo.create_commit(target_branch="main", commit_message="modes", author=AUTHOR)
    await (
        builder.add_file("plain", b"1")
        .add_file("run.sh", b"#!/bin/sh\n", mode=GitFileMode.EXECUTABLE)
        .add_file("link", b"plain", mode=GitFileMode.SYMLINK)
        .send()
    )
    assert await read(repo, "link") == b"plain"
    if SDK_1:
        entries = {e["path"]: (e["type"], e["mode"]) for e in (await repo.list_files())["entries"]}
        assert entries == {"plain": ("blob", "100644"), "run.sh": ("blob", "100755"), "link": ("symlink", "120000")}


async def test_a_mode_can_change_alone(repo):
    await commit(repo, {"run.sh": "#!/bin/sh\n"})
    first = await head(repo)
    builder = repo.create_commit(target_branch="main", commit_message="run", author=AUTHOR)
    result = await builder.add_file("run.sh", b"#!/bin/sh\n", mode=GitFileMode.EXECUTABLE).send()
    assert result["ref_update"]["old_sha"] == first


async def test_a_submodule_names_its_commit(repo):
    sha = "1234567890123456789012345678901234567890"
    builder = repo.create_commit(target_branch="main", commit_message="sub", author=AUTHOR)
    await builder.add_file("vendor/lib", sha.encode(), mode=GitFileMode.SUBMODULE).send()
    if SDK_1:
        assert (await repo.list_files())["entries"] == [{"path": "vendor/lib", "type": "submodule", "mode": "160000"}]


async def test_deleting_a_file_and_a_folder(repo):
    await commit(repo, {"keep": "1", "drop": "2", "dir/a": "3", "dir/sub/b": "4", "dir2/c": "5"})
    result = await commit(repo, delete=["drop", "dir"])
    assert result["blob_count"] == 0
    assert (await repo.list_files())["paths"] == ["dir2/c", "keep"]


async def test_a_folder_that_loses_its_last_file_is_gone(repo):
    first = await commit(repo, {"keep": "1"})
    await commit(repo, {"a/b/c": "2"})
    result = await commit(repo, delete=["a/b/c"])
    assert result["tree_sha"] == first["tree_sha"]


async def test_deleting_everything_leaves_an_empty_tree(repo):
    await commit(repo, {"a": "1"})
    result = await commit(repo, delete=["a"])
    assert result["tree_sha"] == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert (await repo.list_files())["paths"] == []


async def test_deleting_what_is_not_there_is_invalid(repo):
    await commit(repo, {"a": "1"})
    before = await head(repo)
    await refused(commit(repo, {"b": "2"}, delete=["nothing/here"]), "invalid", "nothing/here")
    assert await head(repo) == before
    assert (await repo.list_files())["paths"] == ["a"]


async def test_a_file_becomes_a_folder_and_back_when_it_is_deleted_in_the_same_commit(repo):
    await commit(repo, {"a": "file"})
    await commit(repo, {"a/b": "now a folder"}, delete=["a"])
    assert (await repo.list_files())["paths"] == ["a/b"]
    await commit(repo, {"a": "a file again"}, delete=["a/b"])
    assert await read(repo, "a") == b"a file again"


@pytest.mark.parametrize("existing, new", [("a", "a/b"), ("a/b", "a"), ("x/y/z", "x/y")])
async def test_a_file_where_a_folder_is_conflicts(repo, existing, new):
    await commit(repo, {existing: "1"})
    before = await head(repo)
    await refused(commit(repo, {new: "2"}), "conflict", "cannot be written")
    assert await head(repo) == before


@pytest.mark.parametrize(
    "path",
    [
        "a/../b", "..", "./a", "a//b", "a/", ".git/config", "a/.git", ".GIT/x", ".Git/hooks/pre-commit", "git~1/x",
        "a/.git./x", ".git /x", ".g\u200cit/x", ".git::$INDEX_ALLOCATION/x", "a\\..\\b/.git", "a\x00b", "a/" + "x" * 256,
        "/".join(["x" * 200] * 25), "a\nb/../c",
    ],
)  # fmt: skip
async def test_a_path_that_git_or_a_checkout_would_refuse_is_invalid(repo, path):
    await commit(repo, {"a0": "1"})
    before = await head(repo)
    await refused(commit(repo, {"fine": "1", path: "evil"}), "invalid")
    assert await head(repo) == before


@pytest.mark.parametrize(
    "path",
    ["ünïcødé/文件.txt", "with space/a b", "a+b&c=d?e#f%20", "-dash", "~tilde", "a.git/x", ".gitignore", ".github/x",
     "💾/🚀", "e\u0301", "quote\"'", "line\nbreak", "bell\x07/x"],
)  # fmt: skip
async def test_a_path_may_hold_anything_else(repo, path):
    await commit(repo, {path: path})
    assert (await repo.list_files())["paths"] == [path]
    assert await read(repo, path) == path.encode()


async def test_the_same_path_twice_is_invalid(repo):
    builder = repo.create_commit(target_branch="main", commit_message="m", author=AUTHOR)
    await refused(builder.add_file("a", b"1").add_file("a", b"2").send(), "invalid")
    assert await head(repo) is None


async def test_a_commit_that_changes_nothing_is_still_a_commit(repo):
    first = await commit(repo, {"a": "1"})
    second = await commit(repo, {"a": "1"})
    assert second["tree_sha"] == first["tree_sha"]
    assert second["commit_sha"] != first["commit_sha"]
    third = await commit(repo)
    assert third["tree_sha"] == first["tree_sha"]
    assert third["blob_count"] == 0


async def test_author_committer_and_message_are_kept(repo):
    message = "Grüße 🎉\n\nA second paragraph,\n\n  indented, with trailing  spaces"
    await commit(repo, {"a": "1"}, message=message, committer={"name": "Bot", "email": "bot@example.com"})
    found = (await repo.list_commits())["commits"][0]
    assert found["message"] == message
    assert (found["author_name"], found["author_email"]) == ("Ada Lovelace", "ada@example.com")
    assert (found["committer_name"], found["committer_email"]) == ("Bot", "bot@example.com")


async def test_the_committer_is_the_author_unless_given(repo):
    await commit(repo, {"a": "1"})
    found = (await repo.list_commits())["commits"][0]
    assert (found["committer_name"], found["committer_email"]) == ("Ada Lovelace", "ada@example.com")


@pytest.mark.parametrize("name", ["a\nb", "a<b", "a\x00b"])
async def test_a_name_that_would_break_the_commit_is_refused(repo, name):
    builder = repo.create_commit(target_branch="main", commit_message="m", author={"name": name, "email": "e@x"})
    await refused(builder.add_file("a", b"1").send(), "invalid", "author.name")
    assert await head(repo) is None


# The rules of the contract, section 3.6, by number.


async def test_1_expected_head_must_be_the_tip(repo):
    first = await commit(repo, {"a": "1"})
    second = await commit(repo, {"a": "2"}, expected_head_sha=first["commit_sha"])
    error = await refused(commit(repo, {"a": "3"}, expected_head_sha=first["commit_sha"]), "precondition_failed")
    assert error.ref_update["branch"] == "main"
    assert error.ref_update["old_sha"] == second["commit_sha"]
    assert await read(repo, "a") == b"2"


async def test_1_without_expected_head_everyone_appends(repo):
    await commit(repo, {"base": "0"})
    results = await asyncio.gather(*(commit(repo, {f"f{n}": str(n)}) for n in range(12)))
    assert len({r["commit_sha"] for r in results}) == 12
    assert len((await repo.list_files())["paths"]) == 13
    olds = [r["ref_update"]["old_sha"] for r in results]
    assert len(set(olds)) == 12, "every commit had a parent of its own"


async def test_1_of_many_with_the_same_expected_head_one_wins(repo):
    first = await commit(repo, {"base": "0"})
    outcomes = await asyncio.gather(
        *(commit(repo, {f"f{n}": "x"}, expected_head_sha=first["commit_sha"]) for n in range(8)), return_exceptions=True
    )
    won = [o for o in outcomes if isinstance(o, dict)]
    lost = [o for o in outcomes if not isinstance(o, dict)]
    assert len(won) == 1
    assert {e.status for e in lost} <= {"precondition_failed", "conflict"}
    assert len((await repo.list_files())["paths"]) == 2


async def test_1_an_expected_head_that_is_no_sha_fails(repo):
    first = await commit(repo, {"a": "1"})
    await refused(commit(repo, {"a": "2"}, expected_head_sha="0" * 40), "precondition_failed")
    await refused(commit(repo, {"a": "2"}, expected_head_sha="nonsense nonsense"), "invalid")
    assert await head(repo) == first["commit_sha"]


async def test_5_the_expected_head_may_be_named_by_a_branch(repo):
    first = await commit(repo, {"a": "1"})
    await commit(repo, {"a": "2"}, expected_head_sha="main")
    await commit(repo, {"b": "1"}, branch="old", base_branch="main")
    await refused(commit(repo, {"a": "3"}, expected_head_sha="old"), "precondition_failed")
    assert first["commit_sha"] in [c["sha"] for c in (await repo.list_commits())["commits"]]


async def test_2_a_missing_target_starts_at_its_base(repo):
    first = await commit(repo, {"a": "1"})
    result = await commit(repo, {"b": "2"}, branch="feature/x", base_branch="main")
    assert result["ref_update"]["old_sha"] == ZERO
    assert result["ref_update"]["branch"] == "feature/x"
    assert (await repo.list_files(ref="feature/x"))["paths"] == ["a", "b"]
    log = (await repo.list_commits(branch="feature/x"))["commits"]
    assert [c["sha"] for c in log] == [result["commit_sha"], first["commit_sha"]]
    assert await head(repo) == first["commit_sha"]


async def test_2_the_guard_of_a_missing_target_is_its_base(repo):
    first = await commit(repo, {"a": "1"})
    second = await commit(repo, {"a": "2"})
    stale = commit(repo, {"b": "x"}, branch="one", base_branch="main", expected_head_sha=first["commit_sha"])
    await refused(stale, "precondition_failed")
    assert await head(repo, "one") is None
    await commit(repo, {"b": "x"}, branch="one", base_branch="main", expected_head_sha=second["commit_sha"])
    assert await head(repo, "one")


async def test_2_the_base_of_an_existing_target_is_ignored(repo):
    await commit(repo, {"a": "1"})
    feature = await commit(repo, {"b": "2"}, branch="feature", base_branch="main")
    main = await commit(repo, {"c": "3"})
    again = await commit(repo, {"d": "4"}, branch="feature", base_branch="main", expected_head_sha=feature["commit_sha"])
    assert again["ref_update"]["old_sha"] == feature["commit_sha"]
    assert (await repo.list_files(ref="feature"))["paths"] == ["a", "b", "d"]
    wrong = commit(repo, {"e": "5"}, branch="feature", base_branch="main", expected_head_sha=main["commit_sha"])
    await refused(wrong, "precondition_failed")
    nowhere = await commit(repo, {"e": "5"}, branch="feature", base_branch="no-such-branch")
    assert nowhere["ref_update"]["old_sha"] == again["commit_sha"]


async def test_2_a_missing_base_is_not_found(repo):
    await commit(repo, {"a": "1"})
    await refused(commit(repo, {"b": "2"}, branch="feature", base_branch="nowhere"), "not_found", "nowhere")


async def test_3_a_missing_target_without_base_needs_an_empty_repository(repo):
    await commit(repo, {"a": "1"}, branch="first-is-not-main")
    await refused(commit(repo, {"b": "2"}), "not_found")
    assert await head(repo) is None


async def test_3_the_first_commit_takes_no_guard(repo):
    await refused(commit(repo, {"a": "1"}, expected_head_sha="1" * 40), "precondition_failed")
    assert await head(repo) is None


async def test_3_of_many_first_commits_all_land_in_a_row(repo):
    results = await asyncio.gather(*(commit(repo, {f"f{n}": "x"}) for n in range(6)))
    assert sum(r["ref_update"]["old_sha"] == ZERO for r in results) == 1
    assert len((await repo.list_commits())["commits"]) == 6


async def test_4_ephemeral_target_and_base(repo):
    await commit(repo, {"a": "1"})
    first = await commit(repo, {"b": "2"}, branch="preview/1", base_branch="main", ephemeral=True)
    assert await head(repo, "preview/1") is None
    assert (await repo.list_files(ref="preview/1", ephemeral=True))["paths"] == ["a", "b"]
    await commit(repo, {"c": "3"}, branch="preview/2", base_branch="preview/1", ephemeral=True, ephemeral_base=True)
    assert (await repo.list_files(ref="preview/2", ephemeral=True))["paths"] == ["a", "b", "c"]
    kept = await commit(repo, {"d": "4"}, branch="kept", base_branch="preview/1", ephemeral_base=True)
    assert kept["ref_update"]["old_sha"] == ZERO
    assert (await repo.list_files(ref="kept"))["paths"] == ["a", "b", "d"]
    again = await commit(repo, {"b": "3"}, branch="preview/1", ephemeral=True, expected_head_sha=first["commit_sha"])
    assert again["ref_update"]["old_sha"] == first["commit_sha"]


async def test_4_the_namespaces_do_not_mix(repo):
    await commit(repo, {"a": "1"})
    missing = commit(repo, {"b": "2"}, branch="x", base_branch="main", ephemeral=True, ephemeral_base=True)
    await refused(missing, "not_found")
    await create_branch(repo, "main", "same", target_is_ephemeral=True)
    await create_branch(repo, "main", "same")
    await commit(repo, {"b": "2"}, branch="same", ephemeral=True)
    assert (await repo.list_files(ref="same"))["paths"] == ["a"]
    assert (await repo.list_files(ref="same", ephemeral=True))["paths"] == ["a", "b"]


async def test_7_one_bad_file_and_nothing_is_stored(repo):
    await commit(repo, {"a": "1"})
    before = await head(repo)
    await refused(commit(repo, {"ok1": "1", "a/under-a-file": "2", "ok2": "3"}), "conflict")
    assert await head(repo) == before
    assert (await repo.list_files())["paths"] == ["a"]


@pytest.mark.parametrize("branch", ["with space", "a..b", "a~1", "x.lock", "a//b", "end.", "@{x", "a\\b", "-x"])
async def test_a_branch_name_that_git_refuses_is_invalid(repo, branch):
    await refused(commit(repo, {"a": "1"}, branch=branch), "invalid")
    assert (await repo.list_branches())["branches"] == []


async def test_branch_names_may_be_unicode_and_nested(repo):
    await commit(repo, {"a": "1"}, branch="größe/ветка/分支")
    assert await head(repo, "größe/ветка/分支")


async def test_a_branch_below_a_branch_conflicts(repo):
    await commit(repo, {"a": "1"}, branch="topic")
    await refused(commit(repo, {"b": "2"}, branch="topic/sub", base_branch="topic"), "conflict")


async def test_an_unknown_repository_is_not_found(storage, client):
    repo = await storage.create_repo()
    repo._id = repo.id + "-nothing"
    await refused(commit(repo, {"a": "1"}), "not_found")


async def test_a_large_commit_takes_the_pack_road(repo):
    """Past the limits of a small write the objects are stored as a pack; nothing else may differ."""
    files = {f"f{n}": bytes([n]) * (600 * 1024) + str(n).encode() for n in range(6)}
    result = await commit(repo, files)
    assert result["blob_count"] == 6
    for path, content in files.items():
        assert await read(repo, path) == content
    await commit(repo, {"small": "1"})
    assert len((await repo.list_files())["paths"]) == 7
