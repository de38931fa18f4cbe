#!/usr/bin/env bash
# wheel.sh [--dev] [FOLDER]: the wheels of packhouse and packhouse-compat, in FOLDER (default: dist).
#
# Optimised, unless --dev is given: then the binaries are those that the tests build anyway.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

profile=release
if [ "${1:-}" = --dev ]; then
    profile=dev
    shift
fi
out=${1:-dist}
tools=$TEST_ENV/wheel/bin
[ -x "$tools/python" ] || die "$tools/python is not there: scripts/setup.sh wheel"

mkdir -p "$out"
rm -f "$out"/packhouse-*.whl "$out"/packhouse_compat-*.whl

# The binary goes into the wheel without what only a debugger reads, which is most of it.
cargo build --quiet --profile $profile --bin packhouse
binary=$CARGO_TARGET_DIR/wheel/packhouse
mkdir -p "$(dirname "$binary")"
strip -o "$binary" "$CARGO_TARGET_DIR/$([ $profile = dev ] && echo debug || echo release)/packhouse"

PATH=$tools:$PATH maturin build --quiet --manifest-path python/Cargo.toml --profile $profile --strip \
    --interpreter "$tools/python" --out "$out"

# Both wheels hold programs for the same platform; maturin found out which.
wheel=$(basename "$out"/packhouse-*.whl .whl)
out=$(cd "$out" && pwd)
(
    cd python/compat
    PACKHOUSE_BINARY=$binary PACKHOUSE_WHEEL_TAG=${wheel##*-} \
        "$tools/python" -m hatchling build --target wheel --directory "$out" >/dev/null
)
say "$(cd "$out" && echo packhouse*.whl)"
