"""Tokens: which are believed, what they allow, and what everyone else is told."""

import base64
import hashlib
import hmac
import json
import time
import uuid

import httpx
import jwt
import pytest
from conftest import SDK_1, commit, new_key, private_pem, public_pem, read
from pierre_storage import ApiError, GitStorage, RefUpdateError, generate_jwt


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def name(api):
    """The id of a repository with one commit."""
    return api.create(commits=1)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_every_kind_of_key_signs(client, org, algorithm):
    storage = client(key=private_pem(org.keys[algorithm]))
    repo = await storage.create_repo()
    await commit(repo, {"a": "1"})
    assert await read(repo, "a") == b"1"


@pytest.mark.sdk1
async def test_a_token_minted_beforehand(client, org, server):
    name = f"minted-{uuid.uuid4().hex}"
    token = generate_jwt(private_pem(org.keys["ES256"]), org.name, name, ["repo:write", "git:write"])
    storage = GitStorage(
        {"name": org.name, "token": token, "api_base_url": server.url, "storage_base_url": server.host}
    )
    repo = await storage.create_repo(id=name)
    await commit(repo, {"a": "1"})
    assert await read(repo, "a") == b"1"


async def test_a_strangers_key_is_not_believed(client, repo):
    stranger = client(key=private_pem(new_key("ES256")))
    with pytest.raises(ApiError) as error:
        await stranger.find_one(id=repo.id)
    assert error.value.status_code == 401
    with pytest.raises(ApiError) as error:
        await stranger.create_repo()
    assert error.value.status_code == 401


async def test_sdk_calls_report_a_bad_token_as_their_own_error(client, repo):
    await commit(repo, {"a": "1"})
    stranger = client(key=private_pem(new_key("ES256")))
    if SDK_1:
        repo = stranger.repo(id=repo.id)
    else:
        repo.generate_jwt = stranger._generate_jwt
    with pytest.raises(RefUpdateError) as error:
        builder = repo.create_commit(target_branch="main", commit_message="m", author={"name": "a", "email": "b"})
        if not SDK_1:
            builder.get_auth_token = lambda: repo.generate_jwt(repo.id, {"permissions": ["git:write"], "ttl": 60})
        await builder.add_file("a", b"1").send()
    assert error.value.status == "unauthorized"
    for call in (repo.list_files(), repo.list_branches(), repo.list_commits(), repo.get_file_stream(path="a")):
        with pytest.raises(httpx.HTTPStatusError) as error:
            await call
        assert error.value.response.status_code == 401


@pytest.mark.once
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_the_header_may_name_a_key_and_need_not(api, name, algorithm):
    for header in (None, {"kid": "dev-key-001"}, {"typ": "JWT"}):
        token = api.org.token(name, algorithm=algorithm, header=header)
        assert api("GET", "/repo", token=token).status_code == 200


def forgeries(org, name):
    """Tokens that must not be believed, by what is wrong with them."""
    key = org.keys["ES256"]
    good = org.token(name)
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    now = int(time.time())

    def header_with(**fields):
        return b64(json.dumps(fields).encode())

    yield "none", f"{header_with(alg='none', typ='JWT')}.{payload}."
    yield "None", f"{header_with(alg='None')}.{payload}."
    yield "none with a signature", f"{header_with(alg='none')}.{payload}.{signature}"
    for algorithm in ("ES256", "RS256", "EdDSA"):
        # The public key is public: whoever accepts it as an HMAC secret accepts everybody.
        pem = public_pem(org.keys[algorithm])
        for secret in (pem.encode(), pem.strip().encode()):
            signed = f"{header_with(alg='HS256', typ='JWT')}.{payload}"
            yield f"HS256 {algorithm}", f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"
    yield "wrong algorithm", f"{header_with(alg='RS256')}.{payload}.{signature}"
    yield "ES384", f"{header_with(alg='ES384')}.{payload}.{signature}"
    yield "no algorithm", f"{header_with()}.{payload}.{signature}"
    yield "critical extension", jwt.encode(claims, key, "ES256", headers={"crit": ["exp"]})
    changed = b64(json.dumps(claims | {"repo": "other"}).encode())
    yield "claims changed", f"{header}.{changed}.{signature}"
    yield "signature changed", f"{header}.{payload}.{('A' if signature[0] != 'A' else 'B') + signature[1:]}"
    yield "signature cut", f"{header}.{payload}.{signature[:-4]}"
    yield "no signature", f"{header}.{payload}."
    yield "two parts", f"{header}.{payload}"
    yield "four parts", f"{good}.x"
    yield "not base64", f"{header}.!!!.{signature}"
    yield "not json", f"{header}.{b64(b'no json')}.{signature}"
    yield "one letter", "x"
    yield "expired", org.token(name, exp=now - 60)
    yield "just expired", org.token(name, exp=now - 1)
    yield "not yet valid", org.token(name, nbf=now + 3600)
    yield "from the future", org.token(name, iat=now + 3600, exp=now + 7200)
    yield "no end", org.token(name, drop=["exp"])
    yield "unknown issuer", org.token(name, iss="nobody")
    yield "no issuer", org.token(name, drop=["iss"])
    yield "empty issuer", org.token(name, iss="")
    yield "issuer with quotes", org.token(name, iss="' OR '1'='1")
    yield "long issuer", org.token(name, iss="a" * 5000)


@pytest.mark.once
def test_forged_and_stale_tokens_are_refused(api, name):
    checked = 0
    for what, token in forgeries(api.org, name):
        response = api("GET", "/repo", token=token)
        assert response.status_code == 401, what
        body = response.json()
        assert body["error"] == body["message"], what
        assert body["code"] == "unauthorized"
        assert response.headers["www-authenticate"].startswith("Bearer")
        git = api.http.get(f"{api.server.url}/{name}.git/info/refs?service=git-upload-pack", auth=("t", token))
        assert git.status_code == 401, what
        checked += 1
    assert checked > 25


@pytest.mark.once
@pytest.mark.parametrize("header", [None, "", "Bearer", "Token x", "Basic !!!", "Basic Og=="])
def test_a_request_without_a_token_is_refused(api, header):
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("GET", "/repo"), ("POST", "/repos"), ("GET", "/repos"), ("POST", "/repos/commit-pack")):
        assert api.http.request(method, path, headers=headers).status_code == 401


SCOPES = ["git:read", "git:write", "repo:write", "org:read"]
NEEDS = [
    ("GET", "/repo", {"git:read", "git:write"}),
    ("GET", "/repos/file?path=file-c1", {"git:read", "git:write"}),
    ("HEAD", "/repos/file?path=file-c1", {"git:read", "git:write"}),
    ("GET", "/repos/files", {"git:read", "git:write"}),
    ("GET", "/repos/branches", {"git:read", "git:write"}),
    ("GET", "/repos/commits", {"git:read", "git:write"}),
    ("GET", "/repos/commit?sha=main", {"git:read", "git:write"}),
    ("POST", "/repos/branches/create", {"git:write"}),
    ("DELETE", "/repos/branches", {"git:write"}),
    ("POST", "/repos/commit-pack", {"git:write"}),
    ("GET", "/repos", {"org:read"}),
    ("POST", "/repos", {"repo:write"}),
    ("DELETE", "/repos/delete", {"repo:write"}),
]


@pytest.mark.once
@pytest.mark.parametrize("method, path, needed", NEEDS, ids=[f"{m} {p}" for m, p, _ in NEEDS])
def test_each_route_needs_its_scope_and_no_other(api, name, method, path, needed):
    for scope in SCOPES:
        # What is sent is too little for the writes to do anything, so that one repository serves all routes.
        destructive = method == "DELETE" and path == "/repos/delete"
        claim = f"absent-{uuid.uuid4().hex}" if destructive else name
        response = api(method, path, claim, scopes=[scope])
        if scope in needed:
            assert response.status_code not in (401, 403), f"{scope}: {response.text}"
        else:
            assert response.status_code == 403, f"{scope}: {response.text}"
    assert api(method, path, name, scopes=[]).status_code == 403


@pytest.mark.once
def test_unknown_scopes_allow_nothing(api, name):
    assert api("GET", "/repo", name, scopes=["git:admin", "*", "git:readx"]).status_code == 403


@pytest.mark.once
def test_a_token_names_the_repository_and_the_url_does_not(api, name):
    assert api("GET", "/repo", "something-else").status_code == 404
    assert api("GET", f"/repo?repo={name}", "something-else").status_code == 404


@pytest.mark.once
def test_a_token_without_repository_is_for_the_organisation_alone(api):
    token = api.org.token(None, ["org:read", "git:read"], drop=["repo"])
    assert api("GET", "/repos", token=token).status_code == 200
    assert api("GET", "/repo", token=token).status_code == 400


@pytest.mark.once
def test_a_revoked_key_is_refused_and_the_others_are_not(api, server, tmp_path):
    key, name = new_key("ES256"), f"revoked-{uuid.uuid4().hex[:8]}"
    (tmp_path / "a.pem").write_text(public_pem(key))
    other = new_key("EdDSA")
    (tmp_path / "b.pem").write_text(public_pem(other))
    made = json.loads(server.admin("admin", "org", "create", name, "--public-key", tmp_path / "a.pem", "--json").stdout)
    server.admin("admin", "key", "add", name, "--public-key", tmp_path / "b.pem")
    claims = {"iss": name, "repo": "org", "scopes": ["org:read"], "exp": int(time.time()) + 600}
    mine, theirs = jwt.encode(claims, key, "ES256"), jwt.encode(claims, other, "EdDSA")
    for token in (mine, theirs):
        assert wait_for(lambda t=token: api("GET", "/repos", token=t).status_code == 200)
    server.admin("admin", "key", "revoke", name, made["fingerprint"][:16])
    assert wait_for(lambda: api("GET", "/repos", token=mine).status_code == 401), "within a moment"
    assert api("GET", "/repos", token=theirs).status_code == 200
    server.admin("admin", "key", "add", name, "--public-key", tmp_path / "a.pem")
    assert wait_for(lambda: api("GET", "/repos", token=mine).status_code == 200)


def wait_for(condition, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False
