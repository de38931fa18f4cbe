#!/usr/bin/env bash
# check.sh: format, lints, dependencies. Fast enough to run before every commit.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

say "format"
cargo fmt --all --check
say "lints"
cargo clippy --workspace --all-targets -- -D warnings
say "dependencies"
# Advisories are not among the checks: they need a database from the network, which a build must not depend on.
"$(cargo_program_path cargo-deny)" check --hide-inclusion-graph bans licenses sources
say "all clean"
