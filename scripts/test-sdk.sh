#!/usr/bin/env bash
# test-sdk.sh [PYTEST ARGUMENT…]: the real SDKs and ours, git and the command line against a started server.
#
# Runs tests/sdk in both Python environments of the real SDK, the newer of which drives the npm SDK too, and then with our
# wheels in place of it: the same calls, and the real one's guide, by packhouse-compat. SDK_ENVS chooses among the three.
# The backends are SQLite with local files and, for the newer real SDK where with-services.sh (or you) set
# PACKHOUSE_TEST_POSTGRES and PACKHOUSE_TEST_S3, PostgreSQL with S3. The binary is the debug build, or PACKHOUSE_BINARY; the wheels are debug builds,
# or those in PACKHOUSE_WHEELS.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

[ -n "${PACKHOUSE_BINARY:-}" ] || cargo build --quiet --bin packhouse
export PYTHONDONTWRITEBYTECODE=1
status=0
for env in ${SDK_ENVS:-py061 py1171 hosted}; do
    [ -x "$TEST_ENV/$env/bin/python" ] || die "$TEST_ENV/$env is not there: scripts/setup.sh test"
    python=$TEST_ENV/$env/bin/python
    if [ "$env" = hosted ]; then
        say "packhouse-compat"
        wheels=${PACKHOUSE_WHEELS:-$TEST_ENV/dist}
        [ -n "${PACKHOUSE_WHEELS:-}" ] || scripts/wheel.sh --dev "$wheels"
        # A fresh environment that has the tests' tools from the one that has them, and our wheels.
        rm -rf "$TEST_ENV/sdk"
        "$python" -m venv --without-pip "$TEST_ENV/sdk"
        site=$("$TEST_ENV/sdk/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/borrowed.pth"
        "$python" -m pip --python "$TEST_ENV/sdk/bin/python" install -q --disable-pip-version-check --no-index --no-deps \
            "$wheels"/packhouse*.whl
        python=$TEST_ENV/sdk/bin/python
        PACKHOUSE_TEST_GUIDE=$(echo "$TEST_ENV"/py061/lib/python3*/site-packages/pierre_storage-0.6.1.dist-info/METADATA)
        export PACKHOUSE_TEST_GUIDE
    else
        say "$(grep -o '^pierre-storage==.*' "scripts/requirements/$env.txt")"
    fi
    "$python" -m pytest -q --durations=5 tests/sdk "$@" || status=1
done
[ $status = 0 ] || die "failed"
say "passed"
