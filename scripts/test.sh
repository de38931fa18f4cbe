#!/usr/bin/env bash
# test.sh: every test there is, against the services that with-services.sh started.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

say "Rust"
cargo test --workspace --no-fail-fast
say "the SDKs, from Python and Node, and beside them calls made up from the OpenAPI document"
made_up=$(mktemp)
scripts/test-api.sh >"$made_up" 2>&1 &
calls=$!
# Each waits for its server most of the time. Both are waited for, whatever becomes of the other.
sdks=0
scripts/test-sdk.sh || sdks=1
wait "$calls" || calls=
cat "$made_up"
rm -f "$made_up"
[ $sdks = 0 ] && [ -n "$calls" ] || die "failed"
say "the Python packages"
scripts/test-python.sh
say "crashes and crowds"
scripts/test-system.sh
say "a short run of each fuzz target"
scripts/fuzz-short.sh
say "all passed"
