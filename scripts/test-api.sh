#!/usr/bin/env bash
# test-api.sh [ARGUMENT OF `schemathesis run`…]: calls made up from the OpenAPI document, against a started server.
#
# No answer may be a 5xx or something that the document does not describe; see tests/api/run.py. The binary is the debug
# build, or PACKHOUSE_BINARY.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

[ -n "${PACKHOUSE_BINARY:-}" ] || cargo build --quiet --bin packhouse
python=$TEST_ENV/schemathesis/bin/python
[ -x "$python" ] || die "$TEST_ENV/schemathesis is not there: scripts/setup.sh test"
PYTHONDONTWRITEBYTECODE=1 "$python" tests/api/run.py "$@" || die "failed"
say "passed"
