"""A disk that takes no more: an OSError with its number, nothing half stored, and nothing lost."""

import os
import subprocess
import sys

import pytest

from packhouse.store import GitStore

# No file may have more bytes, which is like a disk that is full, and nothing has to be filled for it.
PRELUDE = """
import errno, os, resource, sys
from packhouse.store import GitStore

path, beside = sys.argv[1:]
store = GitStore.open(path)
fs = store.branches["main"]


def limit(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def refused(action):
    try:
        action()
    except OSError as error:
        assert error.errno == errno.EFBIG and "os error" not in str(error), repr(error)
    else:
        raise AssertionError("it was taken")


limit(256 << 10)
"""

WRITES = {
    "small": 'refused(lambda: fs.write("small", os.urandom(1 << 20)))',
    "large": 'refused(lambda: fs.write("large", os.urandom(3 << 20)))',
    "apply": 'refused(lambda: fs.apply({f"d/{n}": os.urandom(9000) for n in range(100)}))',
    "file": 'refused(lambda: fs.write_from_file("f", f"{beside}/large"))',
    "copy_in": 'refused(lambda: fs.copy_in(f"{beside}/many/", "many"))',
    "archive_in": 'refused(lambda: fs.archive_in(f"{beside}/a.tar"))',
    "copy_out": """
refused(lambda: fs.copy_out("kept", beside))
assert not os.path.exists(f"{beside}/kept")
""",
    "archive_out": """
refused(lambda: fs.archive_out(f"{beside}/out.tar"))
assert sorted(os.listdir(beside)) == ["a.tar", "large", "many"]
""",
    "backup": """
refused(lambda: store.backup(f"{beside}/backup.git"))
refused(lambda: store.backup(f"{beside}/backup.bundle"))
assert sorted(os.listdir(beside)) == ["a.tar", "large", "many"]
""",
    # Whoever goes on after an error gets no commit of what is left.
    "writer": """
file = fs.writer("w")
refused(lambda: [file.write(bytes(100_000)) for _ in range(20)])
limit(resource.RLIM_INFINITY)
refused(lambda: file.write(b"more"))
refused(file.close)
assert file.closed and file.fs is None
""",
    "batch": """
batch = fs.batch()
refused(lambda: [batch.write(f"d/{n}", os.urandom(9000)) for n in range(2000)])
limit(resource.RLIM_INFINITY)
for action in (lambda: batch.write("more", b"1"), batch.commit, batch.commit):
    try:
        action()
    except RuntimeError as error:
        assert "could not be stored" in str(error), error
    else:
        raise AssertionError("it was taken")
assert batch.fs is None
""",
    "writer in a batch": """
with fs.batch() as batch:
    file = batch.writer("w")
    refused(lambda: [file.write(bytes(100_000)) for _ in range(20)])
    limit(resource.RLIM_INFINITY)
    refused(file.close)
assert batch.fs is fs
""",
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_not_taken_leaves_nothing(store, fs, git, tmp_path, name):
    fs = fs.write("kept", os.urandom(600_000))
    beside = tmp_path / "beside"
    (beside / "many").mkdir(parents=True)
    (beside / "large").write_bytes(os.urandom(2 << 20))
    for number in range(100):
        (beside / "many" / str(number)).write_bytes(os.urandom(9000))
    subprocess.run(["tar", "-C", beside, "-cf", beside / "a.tar", "large"], check=True)
    code = PRELUDE + WRITES[name]
    done = subprocess.run([sys.executable, "-c", code, store.path, beside], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert store.branches["main"].commit_hash == fs.commit_hash
    git.check()
    left = [name for _, _, names in os.walk(store.path) for name in names if name.startswith(("tmp_", ".tmp"))]
    assert left == []
    again = GitStore.open(store.path).branches["main"].write("large", bytes(3 << 20))
    assert again.read("kept") == fs.read("kept")
