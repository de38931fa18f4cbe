"""The main job of Packhouse, shown: a program stores a project over HTTP, a person works on it with git.

Run by demo.sh. Uses the unmodified `pierre-storage` SDK and the installed `git`; every step is checked, and the exit
status is not 0 if any of them failed. The server is stopped and its data removed in any case.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pierre_storage import GitStorage

BINARY = os.environ["PACKHOUSE_BINARY"]
ROOT = Path(__file__).resolve().parents[1]
REPO = "demo/packhouse"
AUTHOR = {"name": "Demo Program", "email": "program@example.com"}
# The clone is a fresh machine's: no settings of the person who runs this, and no prompt that would wait for ever.
GIT = {
    "GIT_AUTHOR_NAME": "Demo Person", "GIT_AUTHOR_EMAIL": "person@example.com", "GIT_COMMITTER_NAME": "Demo Person",
    "GIT_COMMITTER_EMAIL": "person@example.com", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0", "NO_PROXY": "127.0.0.1",
    # The SDK's URLs start with https; this server speaks plain http.
    "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "url.http://.insteadOf", "GIT_CONFIG_VALUE_0": "https://",
    "GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*",
}  # fmt: skip


class Failed(Exception):
    """A step did not do what it should."""


@contextlib.contextmanager
def step(what):
    """Prints `what`, which the step may replace, with its time; a failure is printed as such and goes on up."""
    said = [what]
    started = time.perf_counter()
    try:
        yield said
    except BaseException:
        print(f"  FAILED  {said[0]}", flush=True)
        raise
    print(f"  ok  {said[0]:<76} {time.perf_counter() - started:7.2f} s", flush=True)


def check(condition, otherwise):
    if not condition:
        raise Failed(otherwise)


def run(*command, cwd=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, env=os.environ | GIT)
    check(done.returncode == 0, f"{' '.join(map(str, command[:3]))} …: {done.stdout}{done.stderr}")
    return done.stdout


def tracked_files():
    """This project's files as git tracks them: path, mode, content."""
    for line in run("git", "ls-files", "--stage", "-z", cwd=ROOT).split("\0"):
        if not line:
            continue
        (mode, _, _), path = line.split("\t")[0].split(), line.split("\t", 1)[1]
        file = ROOT / path
        if file.is_symlink():
            yield path, "120000", os.readlink(file).encode()
        elif file.is_file():
            yield path, mode, file.read_bytes()


def start_server(folder):
    """Starts the server on a free port; returns its process and what it says about itself."""
    log = open(folder / "server.log", "wb")
    command = [BINARY, "serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--data", str(folder / "data")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise Failed(f"the server did not start:\n{(folder / 'server.log').read_text()}")
    return process, json.loads(line)


def stop_server(process):
    process.terminate()
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


async def demo(folder, server):
    key = Path(server["dev"]["key"]).read_text()
    host = server["url"].split("://")[1]
    with step("create a repository with pierre-storage"):
        storage = GitStorage({"name": "dev", "key": key, "api_base_url": server["url"], "storage_base_url": host})
        repo = await storage.create_repo(id=REPO)

    with step("commit this project's source tree") as said:
        files = list(tracked_files())
        builder = repo.create_commit(target_branch="main", commit_message="Packhouse, as it is", author=AUTHOR)
        for path, mode, content in files:
            builder.add_file(path, content, mode=mode)
        made = await builder.send()
        size = sum(len(content) for _, _, content in files)
        said[0] = f"commit this project's source tree in one request: {len(files)} files, {size / 1e6:.1f} MB"
        check(made["blob_count"] == len(files), f"{made['blob_count']} blobs for {len(files)} files")

    clone = folder / "clone"
    with step("clone it with git, and compare every file"):
        run("git", "clone", "--quiet", await repo.get_remote_url(), clone)
        check(run("git", "rev-parse", "HEAD", cwd=clone).strip() == made["commit_sha"], "the clone has another commit")
        for path, mode, content in files:
            found = os.readlink(clone / path).encode() if mode == "120000" else (clone / path).read_bytes()
            check(found == content, f"{path} differs in the clone")

    with step("commit in the clone and push back"):
        (clone / "from-git.txt").write_text("A person was here.\n")
        run("git", "add", "from-git.txt", cwd=clone)
        run("git", "commit", "--quiet", "-m", "Say so", cwd=clone)
        run("git", "push", "--quiet", "origin", "main", cwd=clone)

    with step("read the pushed file over the API"):
        response = await repo.get_file_stream(path="from-git.txt")
        check(await response.aread() == b"A person was here.\n", "the file's content differs")
        await response.aclose()

    with step("list the commits") as said:
        commits = (await repo.list_commits())["commits"]
        check([c["author_name"] for c in commits] == ["Demo Person", "Demo Program"], f"unexpected history: {commits}")
        check(commits[0]["parent_shas"] == [commits[1]["sha"]], "the history is not a line")
        said[0] = "list the commits: " + ", ".join(f"{c['sha'][:7]} “{c['message']}”" for c in commits)

    exported = folder / "export.git"
    with step("export the repository while the server runs") as said:
        flags = ("--data", folder / "data", "--json")
        report = json.loads(run(BINARY, "export", f"dev/{REPO}", exported, *flags))
        said[0] = f"export the repository while the server runs: {report['objects']} objects"
    with step("git fsck --full --strict finds nothing on it"):
        found = run("git", "fsck", "--full", "--strict", "--no-dangling", cwd=exported)
        check(not found.strip(), found)
        check(run("git", "rev-parse", "main", cwd=exported).strip() == commits[0]["sha"], "the export has another commit")


def main():
    # A proxy of the environment must not stand between this program and its own server.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="packhouse-demo."))
    process, started = None, time.perf_counter()
    print("Packhouse demo", flush=True)
    try:
        with step("start the server") as said:
            process, server = start_server(folder)
            said[0] = f"start the server: {server['url']}, SQLite and local files"
        asyncio.run(demo(folder, server))
        with step("stop the server"):
            status, process = stop_server(process), None
            check(status == 0, f"the server ended with {status}")
    except Exception as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        if process:
            stop_server(process)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"done in {time.perf_counter() - started:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
