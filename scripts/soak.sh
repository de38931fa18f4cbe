#!/usr/bin/env bash
# soak.sh: the system tests again and again, on the release build, for SOAK_MINUTES minutes (10 unless told).
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

export PACKHOUSE_BINARY=$CARGO_TARGET_DIR/release/packhouse
end=$((SECONDS + 60 * ${SOAK_MINUTES:-10}))
runs=0
while ((SECONDS < end)); do
    scripts/test-system.sh
    runs=$((runs + 1))
done
say "$runs rounds, nothing lost"
