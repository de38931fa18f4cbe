#!/usr/bin/env bash
# postgres.sh start DIR | stop DIR: a throw-away PostgreSQL of its own, on a free port of the loopback interface.
#
# `start` prints the server's URL on standard output; started again on the same DIR it serves the same data at the same
# port. Data survive a crash as in production (fsync is on). PostgreSQL refuses to run as root: then it runs as Debian's
# user `postgres`, who must be able to reach DIR.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

[ $# = 2 ] || die "usage: postgres.sh start DIR | stop DIR"
command=$1
mkdir -p "$2"
dir=$(realpath "$2")

find_programs() {
    local newest
    if newest=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -1) && [ -n "$newest" ]; then
        printf '%s\n' "$newest"
    else
        dirname "$(command -v initdb)"
    fi
}
programs=$(find_programs) || die "PostgreSQL is not installed: run scripts/setup.sh test"

as_server_user() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

# From DIR, because the server's user may not be allowed into the checkout.
pg_ctl() {
    (cd "$dir" && as_server_user "$programs/pg_ctl" -D "$dir/data" "$@")
}

start() {
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$dir"
        (cd / && runuser -u postgres -- test -w "$dir") || die "user postgres cannot reach $dir: choose a folder below /tmp"
    fi
    if [ ! -f "$dir/data/PG_VERSION" ]; then
        (cd "$dir" && as_server_user "$programs/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync) \
            >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; die "initdb failed"; }
    fi
    [ -f "$dir/port" ] || free_ports 1 >"$dir/port"
    local port
    port=$(cat "$dir/port")
    if ! pg_ctl status >/dev/null; then
        # The closed descriptors keep the server from holding the caller's pipes open.
        pg_ctl start -w -l "$dir/server.log" \
            -o "-p $port -k '$dir' -c listen_addresses=127.0.0.1 -c max_connections=300" </dev/null >"$dir/start.log" 2>&1 ||
            { cat "$dir/start.log" "$dir/server.log" >&2; die "PostgreSQL did not start"; }
    fi
    say "PostgreSQL runs in $dir"
    printf 'postgres://postgres@127.0.0.1:%s/postgres\n' "$port"
}

case $command in
    start) start ;;
    stop)
        if pg_ctl status >/dev/null 2>&1; then
            pg_ctl stop -m immediate -w >/dev/null
            say "stopped"
        fi
        ;;
    *) die "usage: postgres.sh start DIR | stop DIR" ;;
esac
