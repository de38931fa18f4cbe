#!/usr/bin/env bash
# test-system.sh [PYTEST ARGUMENTS]: a started server under crashes and crowds.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

export PACKHOUSE_BINARY=${PACKHOUSE_BINARY:-$CARGO_TARGET_DIR/debug/packhouse}
"$TEST_ENV/py1171/bin/python" -m pytest -q -p no:cacheprovider tests/system "$@"
