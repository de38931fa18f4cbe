#!/usr/bin/env bash
# test-sdk.sh [PYTEST ARGUMENT…]: the real SDKs, git and the command line against a started server.
#
# Runs tests/sdk in both Python environments; the newer one drives the npm SDK too. The backends are SQLite with local
# files and, where with-services.sh (or you) set PACKHOUSE_TEST_POSTGRES and PACKHOUSE_TEST_S3, PostgreSQL with S3.
# The binary is the debug build, or PACKHOUSE_BINARY.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

[ -n "${PACKHOUSE_BINARY:-}" ] || cargo build --quiet --bin packhouse
export PYTHONDONTWRITEBYTECODE=1
status=0
for env in py061 py1171; do
    [ -x "$TEST_ENV/$env/bin/python" ] || die "$TEST_ENV/$env is not there: scripts/setup.sh test"
    say "$(grep -o '^pierre-storage==.*' "scripts/requirements/$env.txt")"
    "$TEST_ENV/$env/bin/python" -m pytest -q --durations=5 tests/sdk "$@" || status=1
done
[ $status = 0 ] || die "failed"
say "passed"
