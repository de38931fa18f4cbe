#!/usr/bin/env bash
# test.sh: every test there is, against the services that with-services.sh started.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

say "Rust"
cargo test --workspace
say "the SDKs, from Python and Node"
scripts/test-sdk.sh
say "calls made up from the OpenAPI document"
scripts/test-api.sh
say "the Python packages"
scripts/test-python.sh
say "crashes and crowds"
scripts/test-system.sh
say "a short run of each fuzz target"
scripts/fuzz-short.sh
say "all passed"
