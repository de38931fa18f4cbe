#!/usr/bin/env bash
# demo.sh: the main job of Packhouse, step by step, with the time each step took. See demo.py.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

for built in release debug; do
    : "${PACKHOUSE_BINARY:=$(compgen -G "$CARGO_TARGET_DIR/$built/packhouse" || true)}"
done
[ -n "$PACKHOUSE_BINARY" ] || die "packhouse is not built: cargo build --release --bin packhouse"
[ -x "$TEST_ENV/py1171/bin/python" ] || die "the SDK is not installed: scripts/setup.sh demo"
export PACKHOUSE_BINARY
exec "$TEST_ENV/py1171/bin/python" scripts/demo.py
