"""https: the SDK's URLs work as they are."""

import datetime
import ipaddress
import socket
import ssl
import subprocess
import uuid

import httpx
import pytest
from conftest import OURS, commit, new_key, private_pem, read
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from binary import Server, clean_environment
from pierre_storage import GitStorage
from test_git import IDENTITY


def certified(folder):
    """A certificate for 127.0.0.1 by an authority of its own; returns the files of the authority, of it and of its key."""
    root, leaf = new_key("ES256"), new_key("ES256")
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, is_authority):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            made = made.add_extension(address, critical=False)
        path = folder / f"{name}.pem"
        path.write_bytes(made.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    (folder / "key.pem").write_text(private_pem(leaf))
    return certificate("authority", root, True), certificate("127.0.0.1", leaf, False), folder / "key.pem"


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority, cert, key = certified(folder)
    with Server(folder / "data", flags=["--dev", "--tls-cert", cert, "--tls-key", key]) as server:
        server.authority = authority
        yield server


async def test_sdk_and_git_over_https(secure, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.authority))
    assert secure.url.startswith("https://")
    key = (secure.data / "dev-key.pem").read_text()
    options = {"name": "dev", "key": key, "api_base_url": secure.url, "storage_base_url": secure.host}
    if OURS:
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(ConnectionError, match="certificate"):
            await GitStorage(options).create_repo()
        options["certificates"] = secure.authority.read_bytes()
    storage = GitStorage(options)
    repo = await storage.create_repo(id=f"tls/{uuid.uuid4().hex}")
    await commit(repo, {"a": "secret"})
    assert await read(repo, "a") == b"secret"

    environment = clean_environment() | IDENTITY | {"GIT_SSL_CAINFO": str(secure.authority)}
    run = dict(env=environment, capture_output=True, text=True, timeout=60)
    cloned = subprocess.run(["git", "clone", "-q", await repo.get_remote_url(), tmp_path / "c"], **run)
    assert cloned.returncode == 0, cloned.stderr
    (tmp_path / "c" / "b").write_bytes(bytes(3_000_000))
    for command in (["add", "b"], ["commit", "-q", "-m", "b"], ["push", "-q", "origin", "main"]):
        done = subprocess.run(["git", *command], cwd=tmp_path / "c", **run)
        assert done.returncode == 0, done.stderr
    assert (await repo.list_files())["paths"] == ["a", "b"]


def test_http_2_and_1_1_are_offered(secure):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(secure.authority)
    host, port = secure.host.split(":")
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")):
        context.set_alpn_protocols(offered)
        with context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host) as connection:
            assert connection.selected_alpn_protocol() == chosen


def test_plain_http_is_not_answered(secure):
    with httpx.Client() as client, pytest.raises(httpx.TransportError):
        client.get(secure.url.replace("https", "http") + "/healthz")
