#!/usr/bin/env bash
# bench.sh: measures the release build against its peers and writes docs/benchmarks.md.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

"$CARGO_TARGET_DIR/release/packhouse-bench" \
    --binary "$CARGO_TARGET_DIR/release/packhouse" --work "$CARGO_TARGET_DIR/bench" "$@"
