"""What copies out of a store delete."""


def test_nothing_is_deleted_where_a_source_is_missing(files, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "extra").write_text("mine")
    files.copy_out(["dir/", "missing"], out, delete=True, ignore_errors=True)
    assert (out / "extra").read_text() == "mine" and (out / "b.txt").read_text() == "bravo"
    assert files.changes.delete == []
    assert [error.path for error in files.changes.errors] == ["missing"]
    files.copy_out("dir/", out, delete=True, ignore_errors=True)
    assert not (out / "extra").exists()
    assert [entry.path for entry in files.changes.delete] == ["extra"]
