#!/usr/bin/env bash
# test.sh: every test there is, against the services that with-services.sh started.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

say "Rust"
cargo test --workspace --no-fail-fast
say "the wheels"
# Once for all that follows, so that nobody builds them while another installs them.
scripts/wheel.sh --dev "$TEST_ENV/dist"
export PACKHOUSE_WHEELS=$TEST_ENV/dist
say "the SDKs, from Python and Node; beside them calls made up from the OpenAPI document, and the Python packages"
beside=$(mktemp)
{ scripts/test-api.sh && scripts/test-python.sh; } >"$beside" 2>&1 &
others=$!
# Each waits for its server most of the time. Both are waited for, whatever becomes of the other.
sdks=0
scripts/test-sdk.sh || sdks=1
wait "$others" || others=
cat "$beside"
rm -f "$beside"
[ $sdks = 0 ] && [ -n "$others" ] || die "failed"
say "crashes and crowds"
scripts/test-system.sh
say "a short run of each fuzz target"
scripts/fuzz-short.sh
say "all passed"
