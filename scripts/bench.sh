#!/usr/bin/env bash
# bench.sh: measures the release build against its peers and writes docs/benchmarks.md.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

wheels=$CARGO_TARGET_DIR/bench/wheels
scripts/wheel.sh "$wheels"
"$TEST_ENV/bench/bin/python" -m pip install -q --disable-pip-version-check --no-index --no-deps --force-reinstall \
    "$wheels"/packhouse-*.whl
"$CARGO_TARGET_DIR/release/packhouse-bench" --python "$TEST_ENV/bench/bin/python" \
    --binary "$CARGO_TARGET_DIR/release/packhouse" --work "$CARGO_TARGET_DIR/bench" "$@"
