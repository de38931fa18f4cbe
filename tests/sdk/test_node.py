"""The npm SDK, run by node's own test runner against the same server."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import private_pem
from binary import ROOT, TARGET, clean_environment

pytestmark = pytest.mark.once
NPM = Path(os.environ.get("PACKHOUSE_NPM") or TARGET / "test-env" / "npm").resolve()


def test_the_npm_sdk(server, org, tmp_path):
    assert (NPM / "node_modules/@pierre/storage").is_dir(), f"run scripts/setup.sh test: {NPM} has no @pierre/storage"
    (tmp_path / "key.pem").write_text(private_pem(org.keys["ES256"]))
    variables = {
        "PACKHOUSE_URL": server.url, "PACKHOUSE_ORG": org.name, "PACKHOUSE_KEY": str(tmp_path / "key.pem"),
        "PACKHOUSE_NPM": str(NPM),
    }  # fmt: skip
    files = sorted((ROOT / "tests/sdk/node").glob("*.test.mjs"))
    done = subprocess.run(
        [shutil.which("node") or "node", "--test", "--test-reporter=tap", *map(str, files)],
        env=clean_environment() | variables, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    passed = re.search(r"^# pass (\d+)", done.stdout, re.M)
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed and int(passed[1]) >= 35, done.stdout
    print(f"node: {passed[1]} tests passed")
