"""The command line: every command, its results as text and JSON, its errors with a hint."""

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import uuid

import httpx
import jwt
import pytest
from conftest import commit, new_key, private_pem, public_pem
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from binary import BINARY, Server, clean_environment, run
from pierre_storage import GitStorage
from test_git import Clone, git

pytestmark = pytest.mark.once


@pytest.fixture
def keys(tmp_path):
    """Files of a key pair of each kind, by algorithm."""
    files = {}
    for algorithm in ("ES256", "RS256", "EdDSA"):
        key = new_key(algorithm)
        private, public = tmp_path / f"{algorithm}.pem", tmp_path / f"{algorithm}.pub.pem"
        private.write_text(private_pem(key))
        public.write_text(public_pem(key))
        files[algorithm] = (private, public)
    return files


def failed(*args, status=1, **options):
    done = run(*args, check=False, **options)
    assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    lines = done.stderr.rstrip().splitlines()
    assert lines[0].startswith("error: "), done.stderr
    assert lines[-1].startswith("hint: "), done.stderr
    assert done.stdout == ""
    return done.stderr


def storage_of(server, key_file, org="dev"):
    return GitStorage(
        {"name": org, "key": key_file.read_text(), "api_base_url": server.url, "storage_base_url": server.host}
    )


# admin


def test_organisations_and_keys_without_a_server(tmp_path, keys):
    data = ["--data", tmp_path / "data"]
    made = json.loads(run("admin", "org", "create", "acme", "--public-key", keys["ES256"][1], *data, "--json").stdout)
    assert made["org"] == "acme" and made["algorithm"] == "ES256"
    for algorithm in ("RS256", "EdDSA"):
        done = run("admin", "key", "add", "acme", "--public-key", keys[algorithm][1], *data)
        assert algorithm in done.stdout
    assert "already there" in run("admin", "key", "add", "acme", "--public-key", keys["RS256"][1], *data).stdout
    listed = json.loads(run("admin", "key", "list", "acme", *data, "--json").stdout)
    assert {key["algorithm"] for key in listed["keys"]} == {"ES256", "RS256", "EdDSA"}
    orgs = json.loads(run("admin", "org", "list", *data, "--json").stdout)["orgs"]
    assert [(org["name"], org["keys"]) for org in orgs] == [("acme", 3)]
    assert run("admin", "org", "list", *data).stdout.startswith("acme  ")
    run("admin", "key", "revoke", "acme", made["fingerprint"][:20], *data)
    text = run("admin", "key", "list", "acme", *data).stdout
    assert made["fingerprint"] not in text and len(text.splitlines()) == 2


def test_admin_errors(tmp_path, keys):
    data = ["--data", tmp_path / "data"]
    public = keys["ES256"][1]
    assert "no catalog" in failed("admin", "org", "list", *data)
    assert not (tmp_path / "data").exists(), "looking creates nothing"
    run("admin", "org", "create", "acme", "--public-key", public, *data)
    assert "admin key add acme" in failed("admin", "org", "create", "acme", "--public-key", public, *data)
    assert "no organisation `other`" in failed("admin", "key", "list", "other", *data)
    assert "could not read" in failed("admin", "org", "create", "b", "--public-key", tmp_path / "absent", *data)
    private = failed("admin", "org", "create", "b", "--public-key", keys["ES256"][0], *data)
    assert "private" in private and "openssl pkey" in private
    (tmp_path / "text").write_text("hello")
    failed("admin", "org", "create", "b", "--public-key", tmp_path / "text", *data)
    for weak in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)):
        (tmp_path / "weak").write_text(public_pem(weak))
        failed("admin", "org", "create", "b", "--public-key", tmp_path / "weak", *data)
    assert "no valid key" in failed("admin", "key", "revoke", "acme", "ffff", *data)
    assert [o["name"] for o in json.loads(run("admin", "org", "list", *data, "--json").stdout)["orgs"]] == ["acme"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-x", ".x", "api", "ü", "x" * 65])
def test_names_that_no_url_could_hold(tmp_path, keys, name):
    done = run("admin", "org", "create", "--public-key", keys["ES256"][1], "--data", tmp_path / "d", "--", name, check=False)
    assert done.returncode == 2
    assert done.stderr.rstrip().splitlines()[-1].startswith("hint: ")


def test_no_repository_is_called_like_what_stands_for_all(tmp_path, keys):
    data = ["--data", tmp_path / "data"]
    run("admin", "org", "create", "acme", "--public-key", keys["ES256"][1], *data)
    subprocess.run(["git", "init", "-q", tmp_path / "site"], check=True)
    assert "whole organisation" in failed("import", tmp_path / "site", "acme/org", *data, status=2)


def test_usage_errors_exit_with_2_and_a_hint():
    for args in ([], ["nonsense"], ["serve", "--listen", "nowhere"], ["admin", "org"], ["export", "no-slash", "dir"],
                 ["token", "mint", "--org", "a"], ["serve", "--cache-size", "many"], ["export"]):  # fmt: skip
        done = run(*args, check=False)
        assert done.returncode == 2, args
        assert done.stdout == ""
        assert done.stderr.rstrip().splitlines()[-1].startswith("hint: ") or not args, done.stderr


def test_help_and_version_are_results():
    assert "Usage:" in run("--help").stdout
    assert re.fullmatch(r"packhouse \d+\.\d+\.\d+\n", run("--version").stdout)
    for command in ("serve", "export", "import", "fsck", "admin org create", "token mint", "maintain fold"):
        text = run(*command.split(), "--help").stdout
        assert "Usage:" in text and "--json" in text


# token


def claims_of(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_tokens_are_signed_by_the_kind_of_key(keys, algorithm):
    private, public = keys[algorithm]
    token = run("token", "mint", "--org", "acme", "--key", private, "--repo", "team/site").stdout.splitlines()[-1]
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT"}
    claims = jwt.decode(token, public.read_text(), [algorithm])
    assert (claims["iss"], claims["repo"]) == ("acme", "team/site")
    assert claims["scopes"] == ["git:read", "git:write"]
    assert claims["exp"] - claims["iat"] == 3600


def test_scopes_ttl_and_urls(keys):
    private = keys["ES256"][0]
    base = ["token", "mint", "--org", "acme", "--key", private, "--repo", "r"]
    claims = claims_of(run(*base, "--scope", "repo:write", "--scope", "org:read", "--ttl", "30d").stdout.strip())
    assert claims["scopes"] == ["repo:write", "org:read"]
    assert claims["exp"] - claims["iat"] == 30 * 86400
    url = run(*base, "--url", "--base", "https://git.example.com/").stdout.strip()
    assert re.fullmatch(r"https://t:[\w.-]+@git\.example\.com/r\.git", url)
    shown = json.loads(run(*base, "--url", "--json").stdout)
    assert shown["url"] == f"http://t:{shown['token']}@127.0.0.1:8080/r.git"
    assert shown["expires_at"].endswith("Z")


def test_token_errors(tmp_path, keys):
    base = ["token", "mint", "--org", "acme", "--repo", "r", "--key"]
    private, public = keys["ES256"]
    failed(*base, tmp_path / "absent")
    assert "PUBLIC KEY" in failed(*base, public)
    sec1 = subprocess.run(["openssl", "ec", "-in", private], capture_output=True, text=True).stdout
    if "EC PRIVATE KEY" in sec1:
        (tmp_path / "sec1.pem").write_text(sec1)
        assert "openssl pkcs8 -topk8" in failed(*base, tmp_path / "sec1.pem")
    failed(*base, private, "--scope", "everything", status=2)
    failed(*base, private, "--ttl", "forever", status=2)
    failed(*base, private, "--url", "--base", "git.example.com", status=2)
    for name in ("", "x.git", "a/../b", "a+ephemeral", "a+import", "/a", "a b", "x" * 256):
        failed("token", "mint", "--org", "acme", f"--repo={name}", "--key", private, status=2)


# serve


def test_dev_makes_a_key_once_and_keeps_it_private(tmp_path):
    with Server(tmp_path / "data", flags=["--dev"]) as server:
        key = server.data / "dev-key.pem"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        text = key.read_text()
        assert server.started["dev"] == {"org": "dev", "key": str(key), "accepted": True}
    with Server(tmp_path / "data", flags=["--dev"]) as server:
        assert key.read_text() == text
        token = run("token", "mint", "--org", "dev", "--key", key, "--repo", "org", "--scope", "org:read")
        bearer = {"Authorization": f"Bearer {token.stdout.strip()}"}
        assert httpx.get(f"{server.url}/api/v1/repos", headers=bearer).status_code == 200


def test_dev_with_a_revoked_key_says_so_and_how_to_get_a_new_one(tmp_path):
    data = tmp_path / "data"
    with Server(data, flags=["--dev"]) as server:
        [key] = json.loads(server.admin("admin", "key", "list", "dev", "--json").stdout)["keys"]
        server.admin("admin", "key", "revoke", "dev", key["fingerprint"])
    with Server(data, flags=["--dev"]) as server:
        assert server.started["dev"]["accepted"] is False
        assert "has revoked it" in server.log_text()
    process = subprocess.Popen(
        [BINARY, "serve", "--dev", "--listen", "127.0.0.1:0", "--data", data],
        env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        shown = ""
        while not shown.splitlines()[-1:] or not shown.splitlines()[-1].startswith("hint: "):
            line = process.stdout.readline()
            assert line, shown
            shown += line
        assert "warning: the server refuses every token" in shown and "curl" not in shown
    finally:
        process.terminate()
        assert process.wait(30) == 0
    # What the hint says.
    (data / "dev-key.pem").rename(data / "gone.pem")
    with Server(data, flags=["--dev"]) as server:
        assert server.started["dev"]["accepted"] is True
        token = run("token", "mint", "--org", "dev", "--key", data / "dev-key.pem", "--repo", "org", "--scope", "org:read")
        bearer = {"Authorization": f"Bearer {token.stdout.strip()}"}
        assert httpx.get(f"{server.url}/api/v1/repos", headers=bearer).status_code == 200


def test_the_lines_of_the_banner_work(tmp_path):
    """Everything below the first two lines is pasted into a shell as it is: curl, Python with the SDK, git."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "packhouse").symlink_to(BINARY)
    (folder / "python3").write_text(f"#!/bin/sh\nexec {sys.executable} \"$@\"\n")
    (folder / "python3").chmod(0o755)
    environment = clean_environment() | {"PATH": f"{folder}:{os.environ['PATH']}", "GIT_CONFIG_GLOBAL": "/dev/null"}
    process = subprocess.Popen(
        ["packhouse", "serve", "--dev", "--listen", "127.0.0.1:0"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        lines = []
        while not (lines and re.match("git .* clone ", lines[-1])):
            line = process.stdout.readline()
            assert line, lines
            lines.append(line)
        assert re.match(r"  Packhouse \d\S* on http://127.0.0.1:\d+   data: ./packhouse-data \(SQLite, local files\)\n", lines[0])
        assert lines[1] == "  organisation dev, private key ./packhouse-data/dev-key.pem\n"
        script = "".join(lines[2:])
        done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, script + done.stdout + done.stderr
        assert '"repo_id":"hello"' in done.stdout
        assert (tmp_path / "hello-python" / "hello.txt").read_text() == "hello\n"
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_settings_come_from_flags_then_variables_then_the_file(tmp_path):
    config = tmp_path / "packhouse.toml"
    config.write_text('data = "from-file"\ncache-size = "1GiB"\nlog-format = "json"\n')
    env = {"PACKHOUSE_CONFIG": str(config)}
    key = tmp_path / "k.pem"
    key.write_text(public_pem(new_key("ES256")))
    create = ["admin", "org", "create", "acme", "--public-key", key]
    run(*create, env=env, cwd=tmp_path)
    assert (tmp_path / "from-file" / "catalog.db").exists()
    run(*create, env=env | {"PACKHOUSE_DATA": str(tmp_path / "from-env")}, cwd=tmp_path)
    assert (tmp_path / "from-env" / "catalog.db").exists()
    run(*create, "--data", tmp_path / "from-flag", env=env | {"PACKHOUSE_DATA": str(tmp_path / "from-env")})
    assert (tmp_path / "from-flag" / "catalog.db").exists()
    config.write_text('dta = "x"\n')
    assert "dta" in failed("admin", "org", "list", env=env, status=2)
    failed("admin", "org", "list", "--config", tmp_path / "absent.toml")


def test_serve_errors(tmp_path):
    with Server(tmp_path / "data") as server:
        taken = failed("serve", "--data", tmp_path / "other", "--listen", server.host)
        assert "could not listen" in taken
    serve = ["serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "third"]
    assert "--tls-key" in failed(*serve, "--tls-cert", tmp_path / "c.pem", status=2)
    failed(*serve, "--tls-cert", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem")
    failed(*serve, "--catalog", "mysql://h/db")
    failed(*serve, "--bucket", "ftp://h/x")
    secret = failed(*serve, "--catalog", "postgres://user:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in secret
    (tmp_path / "file").write_text("")
    failed("serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "file" / "below")


# export, import, fsck, maintain


async def test_export_import_fsck_and_fold(server, org, storage, tmp_path):
    repo = await storage.create_repo(id=f"cli/{uuid.uuid4().hex}")
    for number in range(5):
        await commit(repo, {f"f{number}": str(number), "big": os.urandom(10_000)})
    await commit(repo, {"p": "1"}, branch="preview", base_branch="main", ephemeral=True)
    head = (await repo.list_branches())["branches"][0]["head_sha"]
    spec = f"{org.name}/{repo.id}"

    exported = json.loads(server.admin("export", spec, tmp_path / "out.git", "--json").stdout)
    assert exported["refs"] == 2
    git("fsck", "--full", "--strict", cwd=tmp_path / "out.git")
    assert git("rev-parse", "main", cwd=tmp_path / "out.git").stdout.strip() == head
    assert git("symbolic-ref", "HEAD", cwd=tmp_path / "out.git").stdout.strip() == "refs/heads/main"
    assert int(git("rev-list", "--count", "main", cwd=tmp_path / "out.git").stdout) == 5
    Clone(tmp_path / "out.git", tmp_path / "copy").fsck()
    again = server.admin("export", spec, tmp_path / "out.git", check=False)
    assert again.returncode == 1 and "hint:" in again.stderr

    folded = json.loads(server.admin("maintain", "fold", spec, "--json").stdout)
    assert (folded["repositories"], folded["writes"]) == (1, 6)
    assert json.loads(server.admin("maintain", "fold", spec, "--json").stdout)["writes"] == 0
    assert (await repo.list_commits())["commits"][0]["sha"] == head
    await commit(repo, {"after": "1"})
    assert "folded 1 write" in server.admin("maintain", "fold", spec).stdout

    checked = json.loads(server.admin("fsck", spec, "--json").stdout)
    assert checked["clean"] is True
    assert checked["repositories"][0]["refs"] == 2
    assert "all is well" in server.admin("fsck", spec).stdout

    copy = f"cli/{uuid.uuid4().hex}"
    imported = json.loads(server.admin("import", tmp_path / "out.git", f"{org.name}/{copy}", "--json").stdout)
    assert (imported["created"], imported["refs"], imported["default_branch"]) == (True, 2, "main")
    twin = await storage.find_one(id=copy)
    assert (await twin.list_branches())["branches"][0]["head_sha"] == head
    assert (await twin.list_files(ref="preview", ephemeral=True))["paths"][-1] == "p"
    full = server.admin("import", tmp_path / "out.git", f"{org.name}/{copy}", check=False)
    assert full.returncode == 1 and "not empty" in full.stderr


async def test_import_a_working_copy_with_another_default_branch(server, org, storage, tmp_path):
    work = tmp_path / "work"
    git("init", "-q", "-b", "develop", work)
    for number in range(30):
        (work / "f").write_bytes(os.urandom(80_000))
        git("add", "f", cwd=work)
        git("commit", "-q", "-m", str(number), cwd=work)
    git("tag", "-a", "-m", "one", "v1", cwd=work)
    name = f"cli/{uuid.uuid4().hex}"
    imported = json.loads(server.admin("import", work, f"{org.name}/{name}", "--json").stdout)
    assert (imported["default_branch"], imported["refs"]) == ("develop", 2)
    repo = await storage.find_one(id=name)
    assert len((await repo.list_commits(limit=100))["commits"]) == 30
    clone = Clone(await repo.get_remote_url(), tmp_path / "clone")
    assert clone.head("v1^{commit}") == git("rev-parse", "HEAD", cwd=work).stdout.strip()
    clone.fsck()


def test_errors_of_commands_on_repositories(server, org, tmp_path):
    def refused(*args, status=1):
        done = server.admin(*args, check=False)
        assert done.returncode == status, done.stderr
        assert done.stderr.rstrip().splitlines()[-1].startswith("hint: ")
        return done.stderr

    absent = f"{org.name}/absent-{uuid.uuid4().hex}"
    for command in (["export", absent, tmp_path / "x"], ["fsck", absent], ["maintain", "fold", absent]):
        assert "no repository" in refused(*command)
    assert not (tmp_path / "x").exists()
    assert "no organisation" in refused("fsck", "nobody/nothing")
    refused("import", tmp_path / "nothing-here", absent)
    assert "no repository" in refused("fsck", absent), "a failed import leaves no repository"


@pytest.mark.parametrize(
    "name",
    ["a", "team/site", "v1.2_x~y@z+w", ".hidden", "x" * 255, "x" * 256, "a//b", "a/", "/a", ".", "a/../b", "a b", "a?b", "ä",
     "a.git", "a.git/b", "a.gitx", "a+ephemeral", "a+import", "a+import/b", "a\n"],
    ids=repr,
)  # fmt: skip
def test_the_command_line_takes_the_names_that_the_server_takes(server, org, api, tmp_path, name):
    unique = uuid.uuid4().hex + (name[32:] if len(name) > 200 else f"/{name}")
    git("init", "-q", "--bare", "-b", "main", tmp_path / "empty.git")
    created = api("POST", "/repos", unique, scopes=["repo:write"], json={}).status_code
    done = server.admin("import", tmp_path / "empty.git", f"{org.name}/{unique}", check=False)
    assert (created, done.returncode) in ((201, 0), (400, 2)), done.stderr


def test_fsck_of_everything_finds_damage(tmp_path):
    with Server(tmp_path / "data", flags=["--dev"]) as server:
        storage = storage_of(server, server.data / "dev-key.pem")

        async def fill():
            repo = await storage.create_repo(id="hurt")
            # Past the limits of a small write, so that the objects are a pack in the bucket.
            await commit(repo, {f"f{n}": os.urandom(700_000) for n in range(3)})
            await commit(await storage.create_repo(id="well"), {"a": "1"})

        asyncio.run(fill())
    data = ["--data", tmp_path / "data"]
    assert "checked 2 repositories" in run("fsck", *data).stdout
    (pack,) = (tmp_path / "data" / "bucket").rglob("*.pack")
    damaged = bytearray(pack.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    pack.chmod(0o644)
    copy = pack.with_suffix(".copy")
    copy.write_bytes(damaged)
    shutil.move(copy, pack)
    done = run("fsck", *data, check=False)
    assert done.returncode == 1
    assert "dev/hurt: " in done.stdout
    shown = json.loads(run("fsck", *data, "--json", check=False).stdout)
    assert shown["clean"] is False
    assert [r["repo"] for r in shown["repositories"] if r["problems"]] == ["dev/hurt"]


def test_fold_of_everything(tmp_path):
    with Server(tmp_path / "data", flags=["--dev"]) as server:
        storage = storage_of(server, server.data / "dev-key.pem")

        async def fill():
            for name in ("a", "b", "empty"):
                repo = await storage.create_repo(id=name)
                if name != "empty":
                    await commit(repo, {"f": name})

        asyncio.run(fill())
    folded = json.loads(run("maintain", "fold", "--data", tmp_path / "data", "--json").stdout)
    assert (folded["repositories"], folded["writes"]) == (2, 2)
    assert len(list((tmp_path / "data" / "bucket").rglob("*.pack"))) == 2
    assert json.loads(run("fsck", "--data", tmp_path / "data", "--json").stdout)["clean"] is True


def test_an_interrupted_export_leaves_nothing(tmp_path):
    data = ["--data", tmp_path / "data"]
    work = tmp_path / "work"
    git("init", "-q", "-b", "main", work)
    for number in range(30):
        (work / str(number)).write_bytes(os.urandom(1 << 20))
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "large", cwd=work)
    key = tmp_path / "k.pem"
    key.write_text(public_pem(new_key("ES256")))
    run("admin", "org", "create", "acme", "--public-key", key, *data)
    run("import", work, "acme/large", *data)
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [BINARY, "export", "acme/large", out / "copy.git", *data], env=clean_environment(), stderr=subprocess.PIPE, text=True
    )
    while not list(out.iterdir()) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert complaint.startswith("error: could not export `acme/large`")
    assert list(out.iterdir()) == []
    run("export", "acme/large", out / "copy.git", *data)
