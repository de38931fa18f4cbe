#!/usr/bin/env bash
# test-python.sh [PYTEST ARGUMENT…]: the wheels, installed where nothing else is: pytest, stubs, and the guides' code.
#
# The wheels are debug builds, or those in PACKHOUSE_WHEELS.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

tools=$TEST_ENV/pytest
[ -x "$tools/bin/python" ] || die "$tools/bin/python is not there: scripts/setup.sh test"
wheels=${PACKHOUSE_WHEELS:-$TEST_ENV/dist}
[ -n "${PACKHOUSE_WHEELS:-}" ] || scripts/wheel.sh --dev "$wheels"

# A fresh environment that borrows pytest and mypy from the one that has them, so that it takes a second to make.
env=$TEST_ENV/installed
rm -rf "$env"
"$tools/bin/python" -m venv --without-pip "$env"
site=$("$env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$tools/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/borrowed.pth"
"$tools/bin/python" -m pip --python "$env/bin/python" install -q --disable-pip-version-check --no-index --no-deps \
    "$wheels"/packhouse*.whl

export PYTHONDONTWRITEBYTECODE=1
# From a folder where no module called packhouse is but the installed one.
cd python/tests
say "tests"
"$env/bin/python" -m pytest -q --durations=5 "$@"
say "types and stubs"
"$env/bin/python" -m mypy --config-file ../pyproject.toml --cache-dir "$TEST_ENV/mypy"
"$env/bin/python" -m mypy.stubtest --mypy-config-file ../pyproject.toml packhouse._native
say "passed"
