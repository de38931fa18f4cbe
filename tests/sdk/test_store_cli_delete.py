"""What `cp --delete` and `destroy` remove."""

import pytest
from store import Gitstore

pytestmark = pytest.mark.once


@pytest.fixture
def store(tmp_path):
    return Gitstore(tmp_path)


def test_a_copy_to_disk_deletes_nothing_where_a_source_is_missing(store):
    store("write", "a/one", input="1")
    kept = store.file("d/kept", "mine")
    complaint = store.fails("cp", ":a/", ":missing/", "d/", "--delete", "--ignore-errors")
    assert "missing" in complaint
    assert kept.read_text() == "mine" and (store.folder / "d/one").read_text() == "1"
    store("cp", ":a/", "d/", "--delete")
    assert not kept.exists()


def test_a_destroyed_repository_leaves_nothing(store):
    store("write", "a", input="a")
    store("destroy", "--force")
    assert not store.repo.exists()
    assert [path.name for path in store.folder.iterdir()] == ["bin"]
