"""Copies to a disk that takes two names for one, as where upper and lower case are the same.

Linux has none at hand: one is made where `lowntfs-3g` and FUSE are there and may be used.
"""

import os
import shutil
import subprocess

import pytest
from store import store

pytestmark = pytest.mark.once


@pytest.fixture
def caseless(tmp_path):
    """A folder in which `a` is found as `A`."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse") or not shutil.which("lowntfs-3g"):
        pytest.skip("there is no disk with names of one case here")
    image, folder = tmp_path / "image", tmp_path / "caseless"
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    folder.mkdir()
    subprocess.run(["mkntfs", "-F", "-q", image], check=True, capture_output=True, timeout=60)
    mounted = subprocess.run(["lowntfs-3g", image, folder, "-o", "ignore_case"], capture_output=True, text=True, timeout=60)
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr}")
    try:
        (folder / "probe").touch()
        assert (folder / "PROBE").exists()
        (folder / "probe").unlink()
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, timeout=60)


@pytest.mark.parametrize("command", ["sync -c", "cp -c --delete"])
def test_a_name_in_another_case_does_not_delete_what_takes_its_place(store, caseless, command):
    work = caseless / "work"
    (work / "Docs").mkdir(parents=True)
    for name in ("readme.md", "Docs/a.txt", "gone.txt", "same.txt"):
        (work / name).write_text("old")
    for name in ("README.md", "docs/A.txt", "same.txt"):
        store("write", name, input="new\n")
    store(*command.split(), ":", work)
    found = {os.path.join(folder, name).removeprefix(f"{work}/").lower() for folder, _, names in os.walk(work) for name in names}
    assert found == {"readme.md", "docs/a.txt", "same.txt"}
    for name in ("README.md", "docs/A.txt", "same.txt"):
        assert (work / name).read_text() == "new\n"
    # Once more there is nothing to do, or the same to do again; either way all is there.
    store(*command.split(), ":", work)
    assert (work / "README.md").read_text() == "new\n" and (work / "docs/A.txt").read_text() == "new\n"
