"""Packing and collecting garbage."""

import pytest


def loose(git):
    return int(git("count-objects").split()[0])


@pytest.fixture
def written(fs):
    for number in range(20):
        fs = fs.write(f"d/f{number}", b"%d" % number)
    return fs


def test_pack_gathers_loose_objects(store, written, git):
    before = loose(git)
    assert before > 0
    assert store.pack() == before
    assert loose(git) == 0 and store.pack() == 0
    assert written.read("d/f7") == b"7"
    assert store.branches["main"].write("more", b"1").read("d/f19") == b"19"


def test_gc_removes_what_nothing_refers_to(store, written, git):
    blob = git("hash-object", "-w", "--stdin", input=b"nobody wants this")
    removed = store.gc()
    assert isinstance(removed, int) and removed >= 0
    assert written.read("d/f7") == b"7"
    git("fsck", "--full", "--strict")
    assert store.branches["main"].commit_hash == written.commit_hash
    assert blob


def test_progress_is_told(store, written):
    seen = []
    store.pack(progress=lambda done, total: seen.append((done, total)))
    assert seen and all(isinstance(done, int) for done, _ in seen)


def test_an_exception_of_progress_comes_through(store, written):
    def stop(done, total):
        raise LookupError("stop")

    with pytest.raises(LookupError, match="stop"):
        store.pack(progress=stop)
    assert written.read("d/f7") == b"7"
