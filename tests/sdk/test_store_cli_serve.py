"""`serve`, `gitserve` and `mount`: other ways to read the store."""

import os
import shutil
import signal
import subprocess
import threading

import httpx
import pytest
from store import Gitstore, Service, environment, eventually

pytestmark = pytest.mark.once


@pytest.fixture
def store(tmp_path):
    made = Gitstore(tmp_path)
    made("write", "hello.txt", input="hello world\n")
    made("write", "data/info.json", input='{"key": 1}')
    made("write", "data/<b>&.png", input=b"\x89PNG", text=False)
    made("tag", "set", "v1")
    os.symlink("hello.txt", tmp_path / "link")
    made("cp", "link", ":link")
    yield made
    made.check()


class Site:
    def __init__(self, store, *args):
        self.service = Service(store, "serve", "-p", "0", *args)
        self.http = httpx.Client(base_url=self.service.url, timeout=20)

    def __call__(self, path, method="GET", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, headers=headers)

    def json(self, path):
        answer = self(path, accept="application/json")
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        return answer.json()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.http.close()
        self.service.__exit__(*error)


def test_files_folders_and_what_is_not_there(store):
    with Site(store) as site:
        answer = site("/hello.txt")
        assert (answer.status_code, answer.text) == (200, "hello world\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["etag"] == f'"{store("hash").strip()}"' and answer.headers["cache-control"] == "no-cache"
        assert site("/data/info.json").headers["content-type"] == "text/plain; charset=utf-8"
        assert site("/data/%3Cb%3E%26.png").headers["content-type"] == "image/png"
        assert site("/link").text == "hello.txt", "a link is served as what it holds"
        page = site("/").text
        assert 'href="/hello.txt"' in page and 'href="/data"' in page
        assert 'href="/data/%3Cb%3E%26.png"' in site("/data").text and "<b>" not in site("/data").text
        assert site.json("/") == {
            "path": "", "ref": "main", "entries": ["data", "hello.txt", "link"], "type": "directory",
            "hash": store.git("rev-parse", "main^{tree}").strip(),
        }  # fmt: skip
        assert site.json("/data/")["hash"] == store("hash", ":data").strip()
        described = site.json("/hello.txt")
        assert described == {
            "path": "hello.txt", "ref": "main", "size": 12, "type": "file", "hash": store("hash", ":hello.txt").strip(),
        }  # fmt: skip
        for path in ("/absent", "/hello.txt/x", "/../etc/passwd", "/%2e%2e/x", "/a%00b"):
            answer = site(path)
            assert answer.status_code == 404 and "etag" not in answer.headers, path
            assert answer.headers["content-type"].startswith("text/plain")
        assert site("/", method="POST").status_code == 405


def test_new_commits_are_seen_at_once(store):
    with Site(store) as site:
        etag = site("/").headers["etag"]
        assert site("/", if_none_match=etag).status_code == 304
        store("write", "new.txt", input="new")
        assert site("/new.txt").text == "new"
        assert site("/", if_none_match=etag).status_code == 200
        store("branch", "set", "kept")
        store("branch", "delete", "main")
        assert site("/new.txt").status_code == 404
        store("branch", "set", "main", "--ref", "kept")
        assert site("/new.txt").text == "new"


def test_ranges_heads_and_conditions(store):
    with Site(store, "--blob-etags") as site:
        whole = site("/hello.txt")
        etag = f'"{store("hash", ":hello.txt").strip()}"'
        assert whole.headers["etag"] == etag and whole.headers["accept-ranges"] == "bytes"
        part = site("/hello.txt", range="bytes=6-10")
        assert (part.status_code, part.text, part.headers["content-range"]) == (206, "world", "bytes 6-10/12")
        assert site("/hello.txt", range="bytes=-6").text == "world\n"
        assert site("/hello.txt", range="bytes=6-10", if_range='"other"').status_code == 200
        beyond = site("/hello.txt", range="bytes=12-")
        assert beyond.status_code == 416 and beyond.headers["content-range"] == "bytes */12"
        head = site("/hello.txt", method="HEAD")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "12")
        store("write", "other", input="x")
        unchanged = site("/hello.txt", if_none_match=etag)
        assert (unchanged.status_code, unchanged.content) == (304, b""), "a commit to another file changes nothing"


def test_every_ref_is_served_with_all(store):
    store("branch", "set", "feature/x", "--back", "2")
    with Site(store, "--all", "--slashes") as site:
        assert site.json("/") == {"branches": ["feature/x", "main"], "tags": ["v1"]}
        assert 'href="/feature/x/"' in site("/").text
        assert site("/v1/hello.txt").text == site("/feature/x/hello.txt").text == "hello world\n"
        assert site("/v1/link").status_code == 404 == site("/absent/hello.txt").status_code
        assert 'href="/main/data/"' in site("/main/").text
        assert site.json("/feature/x/")["ref"] == "feature/x"


def test_a_branch_below_a_tag_is_served_with_all(store):
    store("tag", "set", "feature")
    store("write", "v2/only.txt", input="in main\n")
    store("branch", "set", "feature/x")
    store("write", "-b", "feature/x", "only.txt", input="on the branch\n")
    store("tag", "set", "main/v2")
    store("tag", "set", "same", "--ref", "v1")
    store("branch", "set", "same")
    with Site(store, "--all") as site:
        assert site("/feature/x/only.txt").text == "on the branch\n"
        assert site.json("/feature/x/")["ref"] == "feature/x"
        # What is not on the branch may be in a tag above it, or below it, and the other way round.
        assert site("/feature/hello.txt").text == "hello world\n"
        assert site("/main/v2/only.txt").text == "in main\n"
        assert site("/main/v2/hello.txt").text == "hello world\n"
        for path in ("/feature/x/absent", "/feature/absent", "/main/v2/absent", "/absent/x"):
            assert site(path).status_code == 404, path
        assert site("/").text.count('href="/same/"') == 1
        assert "v2" in site.json("/same/")["entries"], "the branch comes first"
        listed = site.json("/")
        assert "same" in listed["branches"] and "same" in listed["tags"]


def test_the_url_that_is_told_can_be_followed(store):
    with Site(store, "--base-path", "p q/") as site:
        assert site.service.url.endswith("/p%20q") and httpx.get(site.service.url + "/hello.txt").text == "hello world\n"


def test_blobs_are_served_by_their_ids(store):
    blob = store("hash", ":hello.txt").strip()
    with Site(store, "--upstream", "http://upstream.example/") as site:
        for path in (f"/_/blobs/{blob}", f"/{blob}"):
            assert site(path).text == "hello world\n"
        assert site.json(f"/_/blobs/{blob}") == {"hash": blob, "size": 12, "type": "blob"}
        missing = site(f"/_/blobs/{'1' * 40}")
        assert missing.status_code == 302
        assert missing.headers["location"] == f"http://upstream.example/_/blobs/{'1' * 40}"
        assert site("/_/blobs/xyz").status_code == 404


def test_caching_cors_and_base_path(store):
    with Site(store, "--cors", "--no-cache", "--base-path", "/base/") as site:
        site.http.base_url = str(site.http.base_url).removesuffix("base/")
        answer = site("/base/hello.txt")
        assert answer.headers["access-control-allow-origin"] == "*" and "ETag" in answer.headers["access-control-expose-headers"]
        assert answer.headers["cache-control"] == "no-store" == site("/base/absent").headers["cache-control"]
        assert 'href="/base/hello.txt"' in site("/base/").text
        assert site("/hello.txt").status_code == 404 == site("/basement/hello.txt").status_code
        preflight = site("/base/hello.txt", method="OPTIONS")
        assert (preflight.status_code, preflight.content) == (204, b"") and "access-control-allow-methods" in preflight.headers
    with Site(store, "--immutable", "--ref", "v1") as site:
        assert "immutable" in site("/hello.txt").headers["cache-control"] and "access-control-allow-origin" not in site("/").headers
    with Site(store, "--max-age", "60") as site:
        assert site("/").headers["cache-control"] == "public, max-age=60"


def test_large_files_stream_and_may_be_refused(store):
    store("write", "big", input=b"x" * (3 << 20), text=False)
    with Site(store, "--max-file-size", "4") as site:
        assert len(site("/big").content) == 3 << 20
        assert site("/big", range="bytes=1048576-1048577").text == "xx"
    with Site(store, "--max-file-size", "2") as site:
        assert site("/big").status_code == 413


def test_requests_are_logged(store, tmp_path):
    log = tmp_path / "access.log"
    with Site(store, "--log-file", str(log), "-q") as site:
        site("/hello.txt")
        site("/absent%0anext")
    lines = log.read_text().splitlines()
    assert len(lines) == 2 and '"GET /hello.txt HTTP/1.1" 200 12' in lines[0] and '" 404 ' in lines[1]
    assert site.service.complaints == ""


def test_what_cannot_be_served_is_told_at_once(store):
    assert "Unknown ref" in store.error("serve", "-p", "0", "--ref", "absent")
    assert "--all" in store.error("serve", "--all", "--ref", "v1")
    with Site(store) as site:
        port = site.service.url.rsplit(":")[-1]
        assert "hint: --port 0" in store.error("serve", "-p", port)
    # An address for documentation, which no machine has.
    elsewhere = store.error("serve", "--host", "192.0.2.1", "-p", "0")
    assert "192.0.2.1" in elsewhere and "--port" not in elsewhere and "hint: 127.0.0.1 is this machine alone" in elsewhere


# gitserve


def git(*args, cwd=None, check=True):
    names = {f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *args], cwd=cwd, env=environment(**names), capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, (args, done.stdout, done.stderr)
    return done


def test_git_clones_and_may_not_push(store, tmp_path):
    with Service(store, "gitserve", "-p", "0") as service:
        git("clone", "-q", service.url, tmp_path / "clone")
        assert (tmp_path / "clone/hello.txt").read_text() == "hello world\n"
        store("write", "later", input="x")
        git("pull", "-q", cwd=tmp_path / "clone")
        assert (tmp_path / "clone/later").exists()
        refused = git("push", service.url, "HEAD:refs/heads/mine", cwd=tmp_path / "clone", check=False)
        assert refused.returncode != 0 and "403" in refused.stderr
        assert httpx.get(f"{service.url}/info/refs?service=git-receive-pack").status_code == 403
        assert httpx.post(f"{service.url}/git-receive-pack").status_code == 403
        assert httpx.get(f"{service.url}/HEAD").status_code == 404
    assert store("branch") == "main\n"


def test_git_pushes_where_it_is_allowed(store, tmp_path):
    with Service(store, "gitserve", "-p", "0", "--writable") as service:
        git("clone", "-q", service.url, tmp_path / "clone")
        (tmp_path / "clone/pushed.txt").write_text("pushed")
        git("add", ".", cwd=tmp_path / "clone")
        git("commit", "-q", "-m", "Pushed", cwd=tmp_path / "clone")
        git("push", "-q", "origin", "HEAD:main", "HEAD:refs/heads/mine", cwd=tmp_path / "clone")
    assert store("cat", "pushed.txt", "mine:pushed.txt") == "pushedpushed"
    store("undo")
    assert "pushed.txt" not in store("ls")


def test_pushes_obey_the_settings_of_the_repository_and_run_its_hooks(store, tmp_path):
    folder = next(path.parent for path in tmp_path.glob("*/HEAD"))
    hook = folder / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho looking at $(cut -d' ' -f3)\n")
    hook.chmod(0o755)
    git("config", "receive.denyDeletes", "true", cwd=folder)
    with Service(store, "gitserve", "-p", "0", "--writable") as service:
        git("clone", "-q", service.url, tmp_path / "clone")
        pushed = git("push", "origin", "HEAD:refs/heads/mine", cwd=tmp_path / "clone")
        assert "remote: looking at refs/heads/mine" in pushed.stderr
        refused = git("push", "--porcelain", "origin", ":mine", cwd=tmp_path / "clone", check=False)
        assert refused.returncode != 0 and "(deletion prohibited)" in refused.stdout
    assert "mine" in store("branch")


def test_a_dangling_head_is_repaired_for_clones(store, tmp_path):
    store("branch", "set", "other")
    store("branch", "delete", "main")
    with Service(store, "gitserve", "-p", "0") as service:
        git("clone", "-q", service.url, tmp_path / "clone")
    assert (tmp_path / "clone/hello.txt").exists()
    assert store("branch", "current") == "other\n"


def test_the_first_branch_that_is_pushed_is_the_current_one(tmp_path):
    store = Gitstore(tmp_path)
    git("init", "-q", "--bare", "-b", "main", store.repo)
    work = tmp_path / "work"
    git("init", "-q", "-b", "work", work)
    (work / "pushed.txt").write_text("pushed")
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "Pushed", cwd=work)
    with Service(store, "gitserve", "-p", "0", "--writable") as service:
        git("push", "-q", service.url, "HEAD:refs/heads/topic", cwd=work)
        cloned = git("clone", service.url, tmp_path / "clone")
        assert "nonexistent" not in cloned.stderr and (tmp_path / "clone/pushed.txt").exists()
        assert git("symbolic-ref", "HEAD", cwd=tmp_path / "clone").stdout == "refs/heads/topic\n"
        # One that goes is followed by another.
        git("push", "-q", service.url, "HEAD:refs/heads/other", cwd=work)
        git("update-ref", "-d", "refs/heads/topic", cwd=store.repo)
        git("clone", "-q", service.url, tmp_path / "again")
        assert git("symbolic-ref", "HEAD", cwd=tmp_path / "again").stdout == "refs/heads/other\n"
        git("update-ref", "-d", "refs/heads/other", cwd=store.repo)
        git("push", "-q", service.url, "HEAD:refs/heads/last", cwd=work)
    assert store("branch", "current") == "last\n"


# mount


def can_mount():
    return os.path.exists("/dev/fuse") and (os.geteuid() == 0 or shutil.which("fusermount3"))


@pytest.mark.skipif(not can_mount(), reason="no FUSE here")
def test_a_commit_is_mounted_read_only(store, tmp_path):
    folder = tmp_path / "mnt"
    folder.mkdir()
    done = store.run("mount", folder, "--ref", "v1")
    if done.returncode != 0 and ("not permitted" in done.stderr or "denied" in done.stderr):
        pytest.skip(f"mounting is not allowed here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    try:
        assert sorted(os.listdir(folder)) == ["data", "hello.txt"]
        assert (folder / "hello.txt").read_text() == "hello world\n"
        assert (folder / "data/<b>&.png").read_bytes() == b"\x89PNG"
        assert (folder / "hello.txt").stat().st_size == 12
        with open(folder / "hello.txt", "rb") as file:
            file.seek(6)
            assert file.read(5) == b"world"
        with pytest.raises(OSError):
            (folder / "new").write_text("x")
        store("write", "later", input="x")
        assert not (folder / "later").exists(), "what is mounted is one commit"
    finally:
        subprocess.run(["umount", folder], check=True, timeout=30)
    eventually(lambda: os.listdir(folder) == [])


@pytest.mark.skipif(not can_mount(), reason="no FUSE here")
@pytest.mark.parametrize("flags", [["-f"], ["--debug", "--nothreads"], ["-f", "--allow-other"]])
def test_a_mount_in_the_foreground_ends_with_ctrl_c(store, tmp_path, flags):
    name = b"caf\xe9\n\x01"
    store("write", b"odd/" + name, input="odd")
    folder = tmp_path / "mnt"
    folder.mkdir()
    process = subprocess.Popen(
        [store.program, "mount", folder, *flags], env=store.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        eventually(lambda: os.path.ismount(folder) or process.poll() is not None)
        if process.poll() is not None:
            pytest.skip(f"mounting is not allowed here: {process.stderr.read()}")
        odd = os.fsencode(folder / "odd")
        assert os.listdir(odd) == [name]
        with open(odd + b"/" + name) as file:
            assert file.read() == "odd"
        for attempt in (lambda: os.remove(odd + b"/" + name), lambda: os.mkdir(folder / "new")):
            with pytest.raises(OSError):
                attempt()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
        assert process.returncode == 0 and (complaints == b"") == ("--debug" not in flags)
        assert not os.path.ismount(folder) and os.listdir(folder) == []
    finally:
        if process.poll() is None:
            subprocess.run(["umount", "-l", folder], timeout=30)
            process.kill()
            process.wait()


class Mount:
    """A commit that is mounted by a process in the foreground."""

    def __init__(self, store, folder):
        self.folder = folder
        folder.mkdir()
        self.process = subprocess.Popen(
            [store.program, "mount", folder.name, "-f"],
            cwd=folder.parent, env=store.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        # What says nothing ends all the same.
        self.watchdog = threading.Timer(60, self.process.kill)
        self.watchdog.start()
        eventually(lambda: os.path.ismount(folder) or self.process.poll() is not None)
        if self.process.poll() is not None:
            self.watchdog.cancel()
            pytest.skip(f"mounting is not allowed here: {self.process.stderr.read()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()
        self.process.kill()
        self.process.communicate()
        subprocess.run(["umount", "-l", self.folder], capture_output=True, timeout=30)


IN_USE = "WARNING: mnt is in use: it is unmounted once nobody uses it; a second Ctrl-C takes it away at once\n"


@pytest.mark.skipif(not can_mount() or os.geteuid() != 0, reason="no FUSE here, or fusermount3 never finds it in use")
def test_a_mount_that_is_in_use_ends_with_its_last_user(store, tmp_path):
    with Mount(store, tmp_path / "mnt") as mount:
        with open(mount.folder / "hello.txt") as file:
            mount.process.send_signal(signal.SIGINT)
            assert mount.process.stderr.readline() == IN_USE
            assert os.path.ismount(mount.folder) and file.read() == "hello world\n"
        _, complaints = mount.process.communicate(timeout=30)
        assert (mount.process.returncode, complaints) == (0, ""), "it is told once"
        assert not os.path.ismount(mount.folder) and os.listdir(mount.folder) == []


@pytest.mark.skipif(not can_mount() or os.geteuid() != 0, reason="no FUSE here, or fusermount3 never finds it in use")
@pytest.mark.parametrize("second, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_a_mount_that_is_in_use(store, tmp_path, second, status):
    with Mount(store, tmp_path / "mnt") as mount:
        user = subprocess.Popen(["cat"], cwd=mount.folder, stdin=subprocess.PIPE)
        try:
            mount.process.send_signal(signal.SIGINT)
            assert mount.process.stderr.readline() == IN_USE
            mount.process.send_signal(second)
            _, complaints = mount.process.communicate(timeout=30)
            assert (mount.process.returncode, complaints) == (status, "")
            assert not os.path.ismount(mount.folder) and os.listdir(mount.folder) == []
        finally:
            user.communicate(timeout=30)


@pytest.mark.skipif(not can_mount(), reason="no FUSE here")
def test_nothing_is_mounted_over_a_mount(store, tmp_path):
    with Mount(store, tmp_path / "mnt") as mount:
        complaint = store.error("mount", "mnt")
        assert complaint == "Error: Cannot mount mnt: the folder is not empty\nhint: name an empty folder; `mkdir` makes one\n"
        assert (mount.folder / "hello.txt").read_text() == "hello world\n"


@pytest.mark.parametrize("folder", [lambda repo: repo, lambda repo: repo.parent, lambda repo: repo / "objects"])
@pytest.mark.parametrize("flags", [[], ["-f"]])
def test_nothing_is_mounted_over_the_repository(store, folder, flags):
    over = folder(store.repo)
    try:
        assert "the folder is not empty" in store.error("mount", over, *flags)
    finally:
        # It would hang for ever, and so would whoever looks at it.
        subprocess.run(["umount", "-l", over], capture_output=True, timeout=30)
    assert store("cat", "hello.txt") == "hello world\n"


def test_what_cannot_be_mounted_is_told(store, tmp_path):
    assert "not found" in store.error("mount", tmp_path / "absent").lower()
    assert "Not a directory" in store.error("mount", store.file("plain", "x"))
