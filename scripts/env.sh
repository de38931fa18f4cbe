# Sourced by the other scripts: where things are, and how they speak.
#
# After this, the working folder is the root of the checkout, and
#   CARGO_TARGET_DIR  is absolute and exported, so that cargo and the scripts agree wherever they are called from
#   TEST_ENV          holds Python environments and npm packages that belong to this checkout
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
case ${CARGO_TARGET_DIR:=target} in
    /*) ;;
    *) CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR ;;
esac
export CARGO_TARGET_DIR
export TEST_ENV=$CARGO_TARGET_DIR/test-env

say() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# Prints N different free TCP ports of the loopback interface.
free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PY
}

# Waits up to $1 seconds until the command after it succeeds.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# Where a program of cargo's is: the user's, or the one that setup.sh built.
cargo_program_path() {
    command -v "$1" || printf '%s\n' "$TEST_ENV/cargo/bin/$1"
}
