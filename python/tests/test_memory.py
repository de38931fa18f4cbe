"""Large files stream: what a process holds does not grow with them."""

import os
import subprocess
import sys

# Not `ru_maxrss`: a new process takes over the peak of the one that started it.
PEAK = """
def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) >> 10
"""

WORK = PEAK + """
import sys
from packhouse.store import GitStore

path, local, piece = sys.argv[1], sys.argv[2], bytes(1 << 20)
fs = GitStore.open(path, create="main", durability="relaxed").branches["main"]
fs = fs.write_from_file("from-file", local)
with fs.writer("written") as file:
    for _ in range(200):
        file.write(piece)
fs = file.fs
for name in ("from-file", "written"):
    with fs.open(name) as file:
        assert sum(len(read) for read in iter(lambda: file.read(1 << 20), b"")) == 200 << 20
fs.copy_out("from-file", local + ".out")
with fs.batch() as batch:
    batch.write_from_file("in-batch", local + ".out/from-file")
assert batch.fs.object_hash("in-batch") == fs.object_hash("written")
print(peak_mib())
"""


def test_files_of_200_mib_pass_through_a_small_process(tmp_path):
    local = tmp_path / "local"
    with local.open("wb") as file:
        file.truncate(200 << 20)
    command = [sys.executable, "-c", WORK, tmp_path / "store.git", local]
    mebibytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert mebibytes < 128


def test_reading_a_large_file_holds_it_once(tmp_path):
    code = PEAK + """
import sys
from packhouse.store import GitStore

fs = GitStore.open(sys.argv[1], create="main", durability="relaxed").branches["main"]
fs = fs.write("a", bytes(8))
before = peak_mib()
fs = fs.write_from_file("large", sys.argv[2])
assert len(fs.read("large")) == 128 << 20
print(peak_mib() - before)
"""
    local = tmp_path / "local"
    with local.open("wb") as file:
        file.truncate(128 << 20)
    command = [sys.executable, "-c", code, tmp_path / "store.git", local]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 128 + 64


def test_a_file_of_gibibytes_goes_in_and_out(tmp_path):
    # One in every run of the tests, more than four in those that may take long: sizes leave 32 bits behind.
    size = (4 << 30) + 5 if os.environ.get("PACKHOUSE_SOAK") else (1 << 30) + 5
    local = tmp_path / "local"
    with local.open("wb") as file:
        file.truncate(size)
        for at in (0, size // 3, size - 5):
            file.seek(at)
            file.write(os.urandom(5))
    code = PEAK + """
import sys
from packhouse.store import GitStore

path, local, back = sys.argv[1:]
fs = GitStore.open(path, create="main", durability="relaxed").branches["main"]
fs = fs.copy_in(local, "")
fs.copy_out("local", back)
print(fs.size("local"), peak_mib())
"""
    store, back = tmp_path / "store.git", tmp_path / "back"
    back.mkdir()
    command = [sys.executable, "-c", code, store, local, back]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    stored, mebibytes = map(int, output.split())
    assert stored == size
    assert mebibytes < 128
    subprocess.run(["cmp", local, back / "local"], check=True)
