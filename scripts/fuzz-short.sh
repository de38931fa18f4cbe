#!/usr/bin/env bash
# fuzz-short.sh [SECONDS]: runs every fuzz target for a few seconds, starting from its seed corpus.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

seconds=${1:-3}
cargo_fuzz=$(cargo_program_path cargo-fuzz)
[ -x "$cargo_fuzz" ] || die "$cargo_fuzz is not there: scripts/setup.sh test"
# cargo-fuzz wants flags of a nightly compiler; the stable one takes them when it is told that it is meant.
export RUSTC_BOOTSTRAP=1
fuzz_target=$CARGO_TARGET_DIR/fuzz
# No address sanitizer: the little unsafe code there is reads nothing of a stranger, and it would double the time of the build.
fuzz=("$cargo_fuzz" fuzz)
"${fuzz[@]}" build --sanitizer none --fuzz-dir fuzz --target-dir "$fuzz_target"
ran=0
for target in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$target" .rs)
    corpus=$CARGO_TARGET_DIR/fuzz-corpus/$name
    mkdir -p "$corpus" "fuzz/seeds/$name"
    "${fuzz[@]}" run --sanitizer none --fuzz-dir fuzz --target-dir "$fuzz_target" "$name" "$corpus" "fuzz/seeds/$name" -- \
        -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -verbosity=0 -print_final_stats=0
    ran=$((ran + 1))
done
say "fuzz: $ran targets ran $seconds s each without a finding"
