#!/usr/bin/env bash
# with-services.sh COMMAND…: runs the command with a PostgreSQL and an S3 server of its own, and stops both afterwards.
#
# The command finds them in PACKHOUSE_TEST_POSTGRES, PACKHOUSE_TEST_S3, PACKHOUSE_TEST_S3_ACCESS_KEY and
# PACKHOUSE_TEST_S3_SECRET_KEY; its exit status is ours. PACKHOUSE_TEST_SKIP_S3=1 leaves the S3 server out.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

(($#)) || die "usage: with-services.sh COMMAND…"
SECONDS=0

# Unix sockets are made below this folder, and their paths are short by law.
base=${TMPDIR:-/tmp}
((${#base} < 50)) || base=/tmp
work=$(mktemp -d "$base/packhouse.XXXXXX")
chmod 755 "$work"

pids=()
stop_services() {
    local status=$?
    trap - EXIT INT TERM
    # A start that is still under way would leave daemons behind that no pid file names yet.
    ((${#pids[@]} == 0)) || wait "${pids[@]}" 2>/dev/null || true
    scripts/postgres.sh stop "$work/postgres" 2>/dev/null || say "PostgreSQL in $work did not stop"
    scripts/s3.sh stop "$work/s3" 2>/dev/null || say "the S3 server in $work did not stop"
    rm -rf "$work"
    exit "$status"
}
trap stop_services EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "starting the services in $work"
scripts/postgres.sh start "$work/postgres" >"$work/postgres.out" &
pids+=($!)
if [ "${PACKHOUSE_TEST_SKIP_S3:-}" != 1 ]; then
    scripts/s3.sh start "$work/s3" >"$work/s3.out" &
    pids+=($!)
fi
for pid in "${pids[@]}"; do
    wait "$pid" || die "a service did not start"
done
pids=()

PACKHOUSE_TEST_POSTGRES=$(cat "$work/postgres.out")
export PACKHOUSE_TEST_POSTGRES
if [ -e "$work/s3.out" ]; then
    # shellcheck source=/dev/null
    source "$work/s3.out"
fi
say "services are up after ${SECONDS} s"
"$@"
