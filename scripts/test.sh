#!/usr/bin/env bash
# test.sh: every test there is, against the services that with-services.sh started.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

say "Rust"
cargo test --workspace
if [ -x scripts/test-sdk.sh ]; then
    say "the SDKs, from Python and Node"
    scripts/test-sdk.sh
fi
if [ -x scripts/fuzz-short.sh ]; then
    say "a short run of each fuzz target"
    scripts/fuzz-short.sh
fi
say "all passed"
