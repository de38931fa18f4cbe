import os
import subprocess
import uuid

import pytest

from harness import Backend, Server


@pytest.fixture
def server(tmp_path):
    """A server on SQLite and a local folder."""
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data").start()
    yield server
    server.stop()


@pytest.fixture
def database():
    """The URL of a PostgreSQL schema of its own."""
    name = f"system_{uuid.uuid4().hex}"
    postgres = required("PACKHOUSE_TEST_POSTGRES")
    psql = ["psql", postgres, "-q", "-v", "ON_ERROR_STOP=1", "-c"]
    subprocess.run([*psql, f"CREATE SCHEMA {name}"], check=True)
    yield f"{postgres}{'&' if '?' in postgres else '?'}options[search_path]={name}"
    subprocess.run([*psql, f"SET client_min_messages = warning; DROP SCHEMA {name} CASCADE"], check=True)


@pytest.fixture
def remote(database):
    """PostgreSQL and S3, with a schema and a prefix of its own."""
    name = uuid.uuid4().hex
    s3 = required("PACKHOUSE_TEST_S3")
    bucket, query = s3.split("?", 1)
    yield Backend(
        catalog=database,
        bucket=f"{bucket}/{name}?{query}",
        variables={f"PACKHOUSE_S3_{key}": required(f"PACKHOUSE_TEST_S3_{key}") for key in ("ACCESS_KEY", "SECRET_KEY")},
    )


def required(name):
    value = os.environ.get(name)
    if not value and name.startswith("PACKHOUSE_TEST_S3") and os.environ.get("PACKHOUSE_TEST_SKIP_S3") == "1":
        pytest.skip("PACKHOUSE_TEST_SKIP_S3=1")
    assert value, f"{name} is not set; run these tests through `make test`"
    return value
