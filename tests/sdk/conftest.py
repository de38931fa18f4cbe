"""Fixtures: a started server per backend, an organisation with keys of each kind, SDK clients, fresh repositories."""

import base64
import functools
import importlib.util
import os
import ssl
import time
import uuid
from dataclasses import dataclass

import httpx
import jwt
import openapi
import pytest
from binary import Backend, Server
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pierre_storage import GitStorage
from pierre_storage.version import PACKAGE_VERSION
from wire import AUTHOR, Api

SDK_1 = not PACKAGE_VERSION.startswith("0.")
# `pierre_storage` by packhouse-compat, without the vendor's package.
OURS = importlib.util.find_spec("packhouse") is not None

NAME = f"{'packhouse-compat' if OURS else 'pierre-storage'} {PACKAGE_VERSION}"

for variable in [name for name in os.environ if name.lower().endswith("_proxy") and name.lower() != "no_proxy"]:
    del os.environ[variable]

openapi.watch()

if not SDK_1:
    # 0.6.1 drops the context of a streamed answer when it returns it, and the garbage collector closes the stream
    # under the reader: only what has arrived by then can be read. Here the client holds on to the context.
    _stream = httpx.AsyncClient.stream

    def _stream_kept(self, *args, **options):
        self.kept = _stream(self, *args, **options)
        return self.kept

    httpx.AsyncClient.stream = _stream_kept

# The SDKs make a client per call, and each would read the system's certificates again: 25 ms of every call.
ssl.create_default_context = functools.lru_cache(ssl.create_default_context)


def pytest_configure(config):
    config.addinivalue_line("markers", "sdk1: uses what pierre-storage has from 1.0 on")
    config.addinivalue_line("markers", "once: does not depend on the SDK, so one version's run is enough")


def pytest_collection_modifyitems(items):
    skip = pytest.mark.skip(reason=NAME)
    for item in items:
        if not SDK_1 and item.get_closest_marker("sdk1") or (OURS or not SDK_1) and item.get_closest_marker("once"):
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter):
    routes = {(method, path) for method, path, _ in openapi.checked}
    terminalreporter.write_line(
        f"{NAME}: {openapi.checked.total()} responses of {len(routes)} operations "
        f"and {len(openapi.checked)} different statuses match /api/openapi.json"
    )


def backends():
    """SQLite with a local folder always; PostgreSQL with S3 where the environment offers them, to the newest SDK.

    What an SDK is apart in does not hang on the backend, and each further pair takes minutes.
    """
    yield Backend("sqlite-local")
    if OURS or not SDK_1:
        return
    postgres, s3 = os.environ.get("PACKHOUSE_TEST_POSTGRES"), os.environ.get("PACKHOUSE_TEST_S3")
    if postgres and s3:
        names = ("S3_ACCESS_KEY", "S3_SECRET_KEY")
        variables = {f"PACKHOUSE_{name}": os.environ[f"PACKHOUSE_TEST_{name}"] for name in names}
        yield Backend("postgres-s3", ["--catalog", postgres, "--bucket", s3], variables)


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def new_key(algorithm):
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()


@dataclass
class Org:
    """An organisation and its keys by algorithm."""

    name: str
    keys: dict

    def token(self, repo, scopes=("git:read", "git:write"), algorithm="ES256", key=None, header=None, drop=(), **claims):
        """A token with these claims; by default a valid one."""
        now = int(time.time())
        payload = {"iss": self.name, "sub": "tests", "repo": repo, "scopes": list(scopes), "iat": now, "exp": now + 600}
        payload |= claims
        for name in drop:
            payload.pop(name, None)
        return jwt.encode(payload, key or self.keys[algorithm], algorithm, headers=header)


@pytest.fixture(scope="session", params=list(backends()), ids=lambda backend: backend.name)
def server(request, tmp_path_factory):
    # Receivers of webhooks are on this machine.
    flags = ["--allow-private-addresses"]
    env = {"PACKHOUSE_CREDENTIALS_KEY": base64.b64encode(bytes(range(32))).decode()}
    with Server(tmp_path_factory.mktemp("server") / "data", request.param, flags, env) as running:
        yield running
        assert running.process.poll() is None, f"the server died:\n{running.log_text()}"


@pytest.fixture(scope="session")
def org(server, tmp_path_factory):
    """Registered while the server runs, as an operator would."""
    keys = {algorithm: new_key(algorithm) for algorithm in ("ES256", "RS256", "EdDSA")}
    made = Org(f"acme-{uuid.uuid4().hex[:8]}", keys)
    folder = tmp_path_factory.mktemp("keys")
    for number, (algorithm, key) in enumerate(keys.items()):
        path = folder / f"{algorithm}.pem"
        path.write_text(public_pem(key))
        command = ("org", "create") if number == 0 else ("key", "add")
        server.admin("admin", *command, made.name, "--public-key", path)
    return made


@pytest.fixture
def client(server, org):
    """Makes SDK clients: of the organisation, with its P-256 key, unless said otherwise."""

    def make(**options):
        chosen = {
            "name": org.name,
            "key": private_pem(org.keys["ES256"]),
            "api_base_url": server.url,
            "storage_base_url": server.host,
        }
        return GitStorage(chosen | options)

    return make


@pytest.fixture
def storage(client):
    return client()


@pytest.fixture
async def repo(storage):
    """A fresh, empty repository."""
    return await storage.create_repo(id=f"test/{uuid.uuid4().hex}")


async def commit(repo, files=None, message="Change", branch="main", delete=(), **options):
    """Commits text or bytes by path through the SDK's builder."""
    builder = repo.create_commit(target_branch=branch, commit_message=message, author=AUTHOR, **options)
    for path, content in (files or {}).items():
        builder = builder.add_file(path, content.encode() if isinstance(content, str) else content)
    for path in delete:
        builder = builder.delete_path(path)
    return await builder.send()


async def read(repo, path, **options):
    response = await repo.get_file_stream(path=path, **options)
    body = await response.aread()
    await response.aclose()
    return body


async def create_branch(repo, base, target, **options):
    """By the argument that this SDK prefers."""
    name = "base_ref" if SDK_1 else "base_branch"
    return await repo.create_branch(**{name: base}, target_branch=target, **options)


@pytest.fixture(scope="session")
def api(server, org):
    made = Api(server, org)
    yield made
    made.http.close()
