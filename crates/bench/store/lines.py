"""One measurement of one engine, printed as a line of JSON.

    lines.py LINE ENGINE FOLDER

ENGINE is `packhouse`, `vost` or `pygit2`. FOLDER holds what `fixtures` of the bench made, and is the disk that is
measured. Every run is a process of its own, so that no engine profits from what another one left in memory.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

SMALL = 400  # bytes of a small file
FILES = 10_000


def store_module(engine):
    """The two engines of the same family have the same calls."""
    if engine == "packhouse":
        import packhouse.store as module
    else:
        import vost as module
    return module


def open_store(engine, path, durability="relaxed", **options):
    module = store_module(engine)
    if engine == "packhouse":
        options["durability"] = durability
    return module.GitStore.open(path, **options)


def created(engine, folder, durability="relaxed"):
    """A new repository with the branch `main`."""
    if engine == "packhouse":
        return open_store(engine, f"{folder}/store.git", durability, create=True, branch="main", exist_ok=True)
    return open_store(engine, f"{folder}/store.git")


def content(number, size=SMALL):
    """Text that deflates like a small source file and differs from file to file."""
    line = f"entry {number} of many, with a value of {number * 7919 % 10_007}\n"
    return (line * (size // len(line) + 1))[:size].encode()


def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Pygit2:
    """One-file commits as a program writes them with pygit2's own calls."""

    def __init__(self, folder, durability):
        import pygit2

        self.pygit2 = pygit2
        pygit2.option(pygit2.enums.Option.ENABLE_FSYNC_GITDIR, durability == "full")
        self.repo = pygit2.init_repository(f"{folder}/store.git", bare=True)
        self.who = pygit2.Signature("bench", "bench@example.com", 1_700_000_000, 0)
        self.tip = None

    def write(self, path, data):
        repo = self.repo
        tree = repo.TreeBuilder(repo[self.tip].tree) if self.tip else repo.TreeBuilder()
        tree.insert(path, repo.create_blob(data), self.pygit2.enums.FileMode.BLOB)
        parents = [self.tip] if self.tip else []
        self.tip = repo.create_commit("refs/heads/main", self.who, self.who, "write", tree.write(), parents)


def sequential(engine, folder, durability, count):
    """One-file commits, one after the other."""
    if engine == "pygit2":
        repo = Pygit2(folder, durability)
        seconds = timed(lambda: [repo.write("file.txt", content(number, 60)) for number in range(count)])
        return {"seconds": seconds, "count": count}
    fs = created(engine, folder, durability).branches["main"]

    def run():
        nonlocal fs
        for number in range(count):
            fs = fs.write("file.txt", content(number, 60))

    return {"seconds": timed(run), "count": count}


def sequential_relaxed(engine, folder):
    return sequential(engine, folder, "relaxed", 3000)


def sequential_full(engine, folder):
    return sequential(engine, folder, "full", 500)


def many(fs, count=FILES):
    return fs.apply({f"folder/file-{number:05}.txt": content(number) for number in range(count)})


def wide_folder(engine, folder):
    """One-file commits into a folder of 10,000 entries."""
    count = {"packhouse": 500, "vost": 20}[engine]
    fs = many(created(engine, folder).branches["main"])

    def run():
        nonlocal fs
        for number in range(count):
            fs = fs.write(f"folder/file-{number:05}.txt", b"changed %d" % number)

    return {"seconds": timed(run), "count": count}


def one_commit(engine, folder):
    """One commit of 10,000 small files."""
    writes = {f"f{number % 100:02}/file-{number:05}.txt": content(number) for number in range(FILES)}
    fs = created(engine, folder).branches["main"]
    return {"seconds": timed(lambda: fs.apply(writes)), "count": FILES}


def local_files(folder):
    source = f"{folder}/source"
    for number in range(FILES):
        path = f"{source}/d{number % 100:02}/file-{number:05}.txt"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content(number))
    # Files that were written just now are looked at again by everybody: their clocks tell nothing.
    past = time.time() - 3600
    for parent, _, names in os.walk(source):
        for name in names:
            os.utime(f"{parent}/{name}", (past, past))
    return source


def copy_in(engine, folder):
    """A folder of 10,000 files, the first time and unchanged."""
    source = local_files(folder)
    fs = created(engine, folder).branches["main"]

    def first():
        nonlocal fs
        fs = fs.copy_in([source + "/"], "")

    seconds = timed(first)
    fs.copy_in([source + "/"], "")
    again = min(timed(lambda: fs.copy_in([source + "/"], "")) for _ in range(3))
    return {"seconds": seconds, "again": again, "count": FILES}


def git_status(_, folder):
    """What `git status` takes over the same files, all of them committed and unchanged."""
    source = local_files(folder)
    git = ["git", "-C", source, "-c", "user.name=b", "-c", "user.email=b@example.com"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"], ["status"]):
        subprocess.run(git + arguments, check=True, stdout=subprocess.DEVNULL)
    run = lambda: subprocess.run(git + ["status"], check=True, stdout=subprocess.DEVNULL)
    return {"seconds": min(timed(run) for _ in range(3)), "count": FILES}


def read_files(engine, folder):
    """10,000 files read from a snapshot."""
    fs = many(created(engine, folder).branches["main"])
    # A process that has just come: nothing is in memory yet.
    fs = open_store(engine, f"{folder}/store.git").branches["main"]
    # Each of vost's reads costs the same, and too much for all of them.
    count = {"packhouse": FILES, "vost": 500}[engine]
    names = [f"folder/file-{number:05}.txt" for number in range(count)]

    total = 0

    def run():
        nonlocal total
        for name in names:
            total += len(fs.read(name))

    seconds = timed(run)
    assert total == count * SMALL, total
    return {"seconds": seconds, "count": count}


def list_folder(engine, folder):
    """A folder of 100,000 entries listed."""
    fs = open_store(engine, f"{folder}/../../wide.git").branches["main"]
    seconds = []
    for _ in range(3):
        seconds.append(timed(lambda: len(fs.ls("folder")) == 100_000 or sys.exit("entries are missing")))
    return {"seconds": min(seconds), "count": 100_000}


def walk(engine, folder):
    """1,000,000 paths walked."""
    fs = open_store(engine, f"{folder}/../../million.git").branches["main"]
    found = 0

    def run():
        nonlocal found
        for _, _, files in fs.walk():
            found += len(files)

    seconds = timed(run)
    assert found == 1_000_000, found
    return {"seconds": seconds, "count": found}


def path_log(engine, folder):
    """The history of one path over 50,000 commits."""
    fs = open_store(engine, f"{folder}/../../long.git").branches["main"]
    found = 0

    def run():
        nonlocal found
        found = sum(1 for _ in fs.log("d7/file"))

    return {"seconds": timed(run), "count": found}


def large(engine, folder):
    """One GiB that does not deflate, in and out."""
    source, back = f"{folder}/../../large.bin", f"{folder}/back"
    os.makedirs(back)
    fs = created(engine, folder).branches["main"]

    def put():
        nonlocal fs
        fs = fs.copy_in([source], "")

    def get():
        fs.copy_out(["large.bin"], back)

    seconds_in = timed(put)
    # What was written on the way in is not to be written at the cost of the way out, and its memory is there (settle.rs).
    os.sync()
    subprocess.run([sys.executable, "-c", "b'.' * (2 << 30)"], check=True)
    seconds_out = timed(get)
    subprocess.run(["cmp", source, f"{back}/large.bin"], check=True)
    # So that the next run finds its memory free.
    shutil.rmtree(folder)
    return {"in": seconds_in, "out": seconds_out}


CREW, THREADS, EACH = 4, 4, 200


def crowd_file(process, thread, number):
    """Where a writer of the crowd writes, and what."""
    return f"p{process}-{thread}/{number}.txt", content(number, 60)


def writer(engine, path, process):
    """Some writers of one branch in this process, which wait for a word before they begin."""
    import concurrent.futures

    module = store_module(engine)
    store = open_store(engine, path)

    def write(thread):
        for number in range(EACH):
            module.retry_write(store, "main", *crowd_file(process, thread, number), retries=200)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        print("ready", flush=True)
        sys.stdin.readline()
        list(pool.map(write, range(THREADS)))
    print("done", flush=True)


def crowd(engine, folder):
    """16 threads in 4 processes, all writing one branch."""
    created(engine, folder)
    path = f"{folder}/store.git"
    command = [sys.executable, __file__, "writer", engine, path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    crew = [subprocess.Popen(command + [str(number)], **pipes) for number in range(CREW)]
    for process in crew:
        process.stdout.readline()

    def run():
        for process in crew:
            process.stdin.close()
        # That an interpreter ends takes its time, too, and is none of the writes.
        for process in crew:
            process.stdout.readline()

    seconds = timed(run)
    if any([process.wait() for process in crew]):
        sys.exit("a writer failed")
    fs = open_store(engine, path).branches["main"]
    found = sum(len(files) for _, _, files in fs.walk())
    history = sum(1 for _ in fs.log())
    return {"seconds": seconds, "count": CREW * THREADS * EACH, "found": found, "history": history - 1}


def crowd_of_one(engine, folder):
    """The same writes by one writer."""
    fs = created(engine, folder).branches["main"]

    def run():
        nonlocal fs
        for number in range(EACH):
            for process in range(CREW):
                for thread in range(THREADS):
                    fs = fs.write(*crowd_file(process, thread, number))

    return {"seconds": timed(run), "count": CREW * THREADS * EACH}


def main():
    line, engine, folder = sys.argv[1:4]
    if line == "writer":
        writer(engine, folder, sys.argv[4])
        return
    # Left for the bench to remove at its end: ext4 makes files slowly for half a minute after many were removed, and
    # whoever runs next would pay for it.
    work = tempfile.mkdtemp(dir=folder)
    found = globals()[line](engine, work)
    with open("/proc/self/status") as status:
        found["peak_kib"] = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(json.dumps(found))


main()
