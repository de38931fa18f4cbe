#!/usr/bin/env bash
# soak.sh: files of more than 4 GiB in a small process; clones, fetches and pushes beside maintenance that is killed, on one
# node and on two, for SOAK_MINUTES minutes each (10 unless told); then the system tests again and again for as long. All on
# the release build.
#
# With SOAK_EVENTS, it first has that many events delivered by webhooks on each database, to a receiver that refuses one in
# five, by a server that is killed now and then: SOAK_EVENTS=1000000 SOAK_MINUTES=0 make soak takes an hour or so for each of
# the two databases, on two cores, and fails when nothing is delivered for two minutes.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

wheels=$CARGO_TARGET_DIR/soak/wheels
scripts/wheel.sh "$wheels"
PACKHOUSE_SOAK=1 PACKHOUSE_WHEELS=$wheels scripts/test-python.sh test_memory.py

export PACKHOUSE_BINARY=$CARGO_TARGET_DIR/release/packhouse
if [ "${SOAK_EVENTS:-0}" -gt 0 ]; then
    PACKHOUSE_WEBHOOK_EVENTS=$SOAK_EVENTS scripts/test-system.sh -s tests/system/test_webhooks.py
fi
# Thousands of merges against Git's, others than in the quick tests each time.
PACKHOUSE_MERGE_CASES=${SOAK_MERGES:-20000} PACKHOUSE_MERGE_SEED=$((RANDOM * 1000 + 10000)) \
    cargo test --quiet --release -p packhouse-repo --test main merge::renamed
# Caches whose processes are killed again and again.
PACKHOUSE_CACHE_KILLS=$((${SOAK_MINUTES:-10} * 30)) \
    cargo test --quiet --release -p packhouse-client --test main cache::killed
PACKHOUSE_MAINTENANCE_SECONDS=$((60 * ${SOAK_MINUTES:-10})) scripts/test-system.sh -k maintenance
end=$((SECONDS + 60 * ${SOAK_MINUTES:-10}))
runs=0
while ((SECONDS < end)); do
    scripts/test-system.sh
    runs=$((runs + 1))
done
say "$runs rounds, nothing lost"
