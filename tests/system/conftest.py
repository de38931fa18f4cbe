import os

import pytest

from harness import Server


@pytest.fixture
def server(tmp_path):
    """A server on SQLite and a local folder."""
    (tmp_path / "data").mkdir()
    server = Server(tmp_path / "data").start()
    yield server
    server.stop()


def postgres_url():
    url = os.environ.get("PACKHOUSE_TEST_POSTGRES")
    assert url, "PACKHOUSE_TEST_POSTGRES is not set; run these tests through `make test`"
    return url
