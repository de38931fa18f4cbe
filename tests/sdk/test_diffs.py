"""Diffs of branches and commits, and what they leave out."""

import httpx
import pytest
from conftest import SDK_1, commit, create_branch

TEXT = "".join(f"line {number}\n" for number in range(30))


@pytest.fixture
async def diverged(repo):
    """`main` and `side`, which has left it; commits by name in `repo.shas`."""
    repo.shas = {"first": (await commit(repo, {"a.txt": TEXT, "old.txt": "1\n2\n", "moved": TEXT * 2}))["commit_sha"]}
    await create_branch(repo, "main", "side")
    edited = TEXT.replace("line 3\n", "line three\n")
    side = {"a.txt": edited, "lib/moved": TEXT * 2, "new.txt": "no line break"}
    repo.shas["side"] = (await commit(repo, side, branch="side", delete=["moved", "old.txt"]))["commit_sha"]
    repo.shas["main"] = (await commit(repo, {"main.txt": "main\n"}))["commit_sha"]
    return repo


def states(found):
    return {file["path"]: (file["state"].value, file["raw_state"]) for file in found["files"]}


SIDE = {
    "a.txt": ("modified", "M"),
    "lib/moved": ("renamed", "R100"),
    "new.txt": ("added", "A"),
    "old.txt": ("deleted", "D"),
}


async def test_a_branch_is_compared_with_its_merge_base(diverged):
    found = await diverged.get_branch_diff(branch="side", base="main")
    assert (found["branch"], found["base"]) == ("side", "main")
    assert states(found) == SIDE
    assert found["stats"] == {"files": 4, "additions": 2, "deletions": 3, "changes": 5}
    assert found["filtered_files"] == []
    files = {file["path"]: file for file in found["files"]}
    assert files["lib/moved"]["old_path"] == "moved"
    assert files["a.txt"]["old_path"] is None
    assert files["new.txt"]["is_eof"] is False and files["a.txt"]["is_eof"] is True
    raw = files["a.txt"]["raw"]
    assert raw.startswith("diff --git a/a.txt b/a.txt\nindex ")
    assert "\n@@ -1,7 +1,7 @@\n line 0\n" in raw and "\n-line 3\n+line three\n" in raw
    assert files["a.txt"]["bytes"] == len(raw)
    assert await diverged.get_branch_diff(branch="side") == found


@pytest.mark.sdk1
async def test_newer_sdks_read_more(diverged):
    found = await diverged.get_branch_diff(branch="side", paths=["lib", "a.txt"])
    assert list(states(found)) == ["a.txt", "lib/moved"]
    assert found["merge_base_sha"] == diverged.shas["first"]
    assert (found["files"][0]["additions"], found["files"][0]["deletions"]) == (1, 1)
    commit_diff = await diverged.get_commit_diff(sha=diverged.shas["side"], base_sha=diverged.shas["main"])
    assert commit_diff["base_sha"] == diverged.shas["main"]
    assert commit_diff["merge_base_sha"] == diverged.shas["first"]
    exact = await diverged.get_commit_diff(
        sha=diverged.shas["side"], base_sha=diverged.shas["main"], git_apply_compatible=True, paths=["main.txt"]
    )
    assert states(exact) == {"main.txt": ("deleted", "D")}
    assert "merge_base_sha" not in exact


async def test_a_commit_is_compared_with_its_parent(diverged):
    found = await diverged.get_commit_diff(sha=diverged.shas["side"])
    assert found["sha"] == diverged.shas["side"]
    assert states(found) == SIDE
    first = await diverged.get_commit_diff(sha=diverged.shas["first"])
    assert states(first) == {name: ("added", "A") for name in ("a.txt", "moved", "old.txt")}
    from_main = await diverged.get_commit_diff(sha=diverged.shas["main"], base_sha=diverged.shas["first"])
    assert states(from_main) == {"main.txt": ("added", "A")}


async def test_both_namespaces_can_be_compared(diverged):
    await commit(diverged, {"draft": "1\n"}, branch="draft", base_branch="main", ephemeral=True)
    found = await diverged.get_branch_diff(branch="draft", ephemeral=True)
    assert states(found) == {"draft": ("added", "A")}
    found = await diverged.get_branch_diff(branch="side", base="draft", ephemeral_base=True)
    assert states(found) == SIDE


async def test_files_nobody_reads_are_filtered(repo):
    await commit(repo, {"a": "1\n"})
    files = {"bin": b"\0\1", "package-lock.json": "{}\n", "long": "x\n" * 2001, "large": "x" * 600_000, "ok": "ok\n"}
    made = await commit(repo, files)
    found = await repo.get_commit_diff(sha=made["commit_sha"])
    assert states(found) == {"ok": ("added", "A")}
    filtered = {file["path"]: file for file in found["filtered_files"]}
    assert set(filtered) == set(files) - {"ok"}
    assert filtered["large"]["bytes"] == 600_000 and filtered["large"]["is_eof"] is False
    assert filtered["bin"]["state"].value == "added"
    if SDK_1:
        asked = await repo.get_commit_diff(sha=made["commit_sha"], paths=["long", "bin"])
        assert asked["filtered_files"] == []
        assert asked["files"][1]["additions"] == 2001


async def test_what_is_not_there_is_not_found(diverged):
    for call in (
        diverged.get_commit_diff(sha="0123456789" * 4),
        diverged.get_branch_diff(branch="nothing"),
        diverged.get_branch_diff(branch="side", base="nothing"),
        diverged.get_branch_diff(branch="side", ephemeral=True),
    ):
        with pytest.raises(httpx.HTTPStatusError) as error:
            await call
        assert error.value.response.status_code == 404
