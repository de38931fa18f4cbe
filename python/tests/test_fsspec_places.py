"""Where copies and moves in an fsspec file system of a store put things: as fsspec's own file system in memory does."""

import fsspec
import pytest

CONTENT = {"a.txt": b"a", "d/x.txt": b"x", "d/y.log": b"y", "d/sub/z.txt": b"z", "e/old": b"o"}


@pytest.fixture
def disk(store, fs):
    fs.apply(CONTENT)
    return fsspec.filesystem("packhouse", repo=store.path, ref="main", skip_instance_cache=True)


@pytest.fixture
def memory():
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    memory.pipe({f"/{path}": data for path, data in CONTENT.items()})
    yield memory
    memory.store.clear()


def everything(filesystem):
    return {path.lstrip("/"): filesystem.cat_file(path) for path in filesystem.find("")}


@pytest.mark.parametrize("verb", ["cp", "mv"])
@pytest.mark.parametrize(
    "source, target, options",
    [
        ("a.txt", "e", {}),
        ("a.txt", "e/", {}),
        ("a.txt", "new/", {}),
        ("a.txt", "new", {}),
        ("d/x.txt", "e", {}),
        ("d/*.txt", "e", {}),
        ("*.txt", "e", {}),
        (["a.txt", "d/y.log"], "e", {}),
        (["a.txt", "d/y.log"], ["e/1", "e/2"], {}),
        ("d", "e", {"recursive": True}),
        ("d", "e/", {"recursive": True}),
        ("d/", "e", {"recursive": True}),
        ("d", "new", {"recursive": True}),
        ("d/sub", "e", {"recursive": True}),
        ("d/sub", "", {"recursive": True}),
        ("d/x.txt", "", {}),
        ("d", "new", {"recursive": True, "maxdepth": 1}),
    ],
)
def test_it_is_where_memory_has_it(disk, memory, verb, source, target, options):
    if verb == "mv" and "maxdepth" in options:
        pytest.skip("the file system in memory loses what is deeper")
    for filesystem in (disk, memory):
        getattr(filesystem, verb)(source, target, **options)
    assert everything(disk) == everything(memory)


def test_a_move_is_one_commit(disk, store):
    fs = store.branches["main"]
    fs = fs.apply({f"many/{number}/file": f"{number}".encode() for number in range(20)})
    disk.mv("many", "moved", recursive=True)
    moved = store.branches["main"]
    assert moved.back(1).commit_hash == fs.commit_hash
    assert moved.object_hash("moved") == fs.object_hash("many") and not moved.exists("many")
    disk.mv(["a.txt", "d/x.txt"], ["e/old", "new"])
    assert store.branches["main"].back(1).commit_hash == moved.commit_hash
    assert disk.cat("e/old") == b"a" and disk.cat("new") == b"x"
    with pytest.raises(ValueError, match="a file and a folder"):
        disk.mv(["d/y.log", "e/old"], ["f", "f/old"])


def test_what_is_deeper_than_asked_stays(disk):
    disk.mv("d", "new", recursive=True, maxdepth=1)
    moved = {"a.txt": b"a", "new/x.txt": b"x", "new/y.log": b"y", "d/sub/z.txt": b"z", "e/old": b"o"}
    assert everything(disk) == moved


@pytest.mark.parametrize("source, target", [("a.txt", "there"), ("d", "there"), ("d", "new")])
def test_files_keep_their_names_on_the_local_disk(disk, memory, tmp_path, source, target):
    copies = []
    for name, filesystem in (("1", disk), ("2", memory)):
        (tmp_path / name / "there").mkdir(parents=True)
        filesystem.get(source, str(tmp_path / name / target), recursive=True)
        files = (tmp_path / name).rglob("*")
        copies.append({str(file.relative_to(tmp_path / name)) for file in files})
    assert copies[0] == copies[1]


@pytest.mark.parametrize(
    "source, target",
    [("d", "d/sub"), ("d", "d/"), ("d", "d/new"), ("", "x"), (["a.txt", "e/old"], ["e/old", "f"])],
)
def test_nothing_is_moved_into_itself_or_over_what_is_moved(disk, store, source, target):
    if target == "d/":
        store.branches["main"].write("d/d/file", b"")
    before = store.branches["main"].commit_hash
    with pytest.raises(ValueError, match="Cannot move"):
        disk.mv(source, target, recursive=True)
    assert store.branches["main"].commit_hash == before


@pytest.mark.parametrize(
    "source, target",
    [("a.txt", "/a.txt"), ("a.txt", "packhouse://a.txt"), ("d/x.txt", "d"), ("d", ""), ("d/", "d")],
)
def test_what_is_at_its_place_is_not_moved(disk, store, source, target):
    before = store.branches["main"].commit_hash
    disk.mv(source, target, recursive=True)
    assert store.branches["main"].commit_hash == before


def test_no_directory_gives_way_to_a_file(disk, store):
    before = store.branches["main"].commit_hash
    with pytest.raises(IsADirectoryError):
        disk.cp_file("a.txt", "d")
    with pytest.raises(IsADirectoryError):
        disk.mv("d", "new")
    assert store.branches["main"].commit_hash == before
