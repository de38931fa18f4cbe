#!/usr/bin/env bash
# setup.sh [check|demo|test|bench|wheel|book]: installs what is missing for the make target of that name.
#
# Programs come from Debian's packages and need root; Python, npm and cargo packages go below the target folder.
# Nothing that is there already is touched, no service is started, and a second run changes nothing.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

RUST_MINIMUM=1.95
CARGO_DENY=0.20.2
CARGO_FUZZ=0.13.2
MDBOOK=0.5.4
purpose=${1:-test}
case $purpose in
    check | demo | test | bench | wheel | book) ;;
    *) die "usage: setup.sh [check|demo|test|bench|wheel|book]" ;;
esac

missing=()

# need PROGRAM PACKAGE…: asks for the packages unless the program is there (daemons may be outside PATH).
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing+=("$@")
}

postgres_is_there() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# A Python that can make virtual environments; Debian splits that ability off into python3-venv.
find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
    return 1
}

list_missing() {
    need git git
    need curl curl ca-certificates
    need ssh openssh-client
    need ssh-keygen openssh-client
    need cc gcc libc6-dev # the bundled SQLite is C
    need pkg-config pkg-config
    [ "$purpose" != check ] && [ "$purpose" != book ] || return 0
    find_python >/dev/null || missing+=(python3 python3-venv)
    need strip binutils
    if [ "$purpose" != demo ] && [ "$purpose" != wheel ]; then
        postgres_is_there || missing+=(postgresql)
    fi
    if [ "$purpose" = test ]; then
        need ceph ceph-common
        need ceph-mon ceph-mon
        need ceph-mgr ceph-mgr
        need ceph-osd ceph-osd
        need radosgw radosgw
        need node nodejs
        need npm npm
        need c++ g++ # libFuzzer is C++
        need xz xz-utils # for tar, which reads the archives we write
        need bzip2 bzip2
    fi
    if [ "$purpose" = bench ]; then
        need nginx nginx-light
        need fcgiwrap fcgiwrap
    fi
}

# Debian starts a service when its package is installed, and creates a PostgreSQL cluster. We want the programs alone,
# so both are forbidden while apt runs, and only then.
POLICY=/usr/sbin/policy-rc.d
CLUSTER=/etc/postgresql-common/createcluster.d/packhouse.conf
forbidden=()
allow_services() {
    ((${#forbidden[@]} == 0)) || rm -f "${forbidden[@]}"
}
forbid_services() {
    trap allow_services EXIT
    if [ ! -e $POLICY ]; then
        printf '#!/bin/sh\nexit 101\n' >$POLICY
        chmod 755 $POLICY
        forbidden+=("$POLICY")
    fi
    if [ ! -e $CLUSTER ]; then
        mkdir -p "$(dirname $CLUSTER)"
        echo 'create_main_cluster = false' >$CLUSTER
        forbidden+=("$CLUSTER")
    fi
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -qq -o Dpkg::Use-Pty=0 "$@" \
        </dev/null >"$log" 2>&1
}

install_packages() {
    list_missing
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        die "missing, by Debian's names: ${missing[*]} (no apt-get here: install them your system's way)"
    fi
    if [ "$(id -u)" != 0 ]; then
        die "missing packages; run: sudo apt-get install -y --no-install-recommends ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    log=$(mktemp)
    forbid_services
    if ! apt_install "${missing[@]}"; then
        say "refreshing the package lists"
        apt-get update -qq </dev/null >"$log" 2>&1 || true
        if ! apt_install "${missing[@]}"; then
            cat "$log" >&2
            die "apt-get could not install ${missing[*]}"
        fi
    fi
    rm -f "$log"
    allow_services
    missing=()
    list_missing
    ((${#missing[@]} == 0)) || die "still missing after installing: ${missing[*]}"
}

check_rust() {
    local program version
    for program in rustc cargo; do
        command -v $program >/dev/null ||
            die "$program is not installed: Packhouse needs Rust $RUST_MINIMUM or newer, see https://rustup.rs"
        version=$($program --version | cut -d' ' -f2)
        if [ "$(printf '%s\n' "$RUST_MINIMUM" "$version" | sort -V | head -1)" != "$RUST_MINIMUM" ]; then
            die "$program is $version: Packhouse needs $RUST_MINIMUM or newer (with rustup: rustup update stable)"
        fi
    done
}

# python_env NAME: the virtual environment that scripts/requirements/NAME.txt describes.
python_env() {
    local wanted=$PWD/scripts/requirements/$1.txt env=$TEST_ENV/$1
    cmp -s "$wanted" "$env/installed.txt" && return
    say "Python environment $1: $(head -1 "$wanted")"
    rm -rf "$env"
    mkdir -p "$TEST_ENV"
    "$(find_python)" -m venv "$env"
    "$env/bin/python" -m pip install -q --disable-pip-version-check --no-input -r "$wanted"
    cp "$wanted" "$env/installed.txt"
}

npm_packages() {
    local wanted=$PWD/scripts/requirements/package.json env=$TEST_ENV/npm
    cmp -s "$wanted" "$env/installed.json" && return
    say "npm packages: $(grep -o '"@pierre/storage": "[^"]*"' "$wanted")"
    rm -rf "$env"
    mkdir -p "$env"
    cp "$wanted" "$env/package.json"
    (cd "$env" && npm install --silent --no-audit --no-fund --no-package-lock </dev/null)
    cp "$wanted" "$env/installed.json"
}

# cargo_program NAME VERSION [FLAG…]: not optimised, since it builds in half the time and is used for seconds.
cargo_program() {
    local name=$1 version=$2
    shift 2
    [ ! -x "$(cargo_program_path "$name")" ] || return 0
    say "building $name $version"
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$TEST_ENV/build \
        cargo install --quiet --debug --locked --root "$TEST_ENV/cargo" "$@" "$name@$version"
    rm -rf "$TEST_ENV/build"
}

# side_by_side COMMAND…: all of them at once, since most of their time is waiting for packages.
side_by_side() {
    local command pid pids=() failed=0
    for command in "$@"; do
        $command &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    return $failed
}

check_rust
install_packages
case $purpose in
    check) cargo_program cargo-deny "$CARGO_DENY" ;;
    book) cargo_program mdbook "$MDBOOK" --no-default-features ;;
    demo) python_env py1171 ;;
    test)
        side_by_side "cargo_program cargo-fuzz $CARGO_FUZZ" npm_packages \
            'python_env '{py061,py1171,hosted,wheel,pytest,schemathesis}
        ;;
    wheel) python_env wheel ;;
    bench) side_by_side 'python_env wheel' 'python_env bench' ;;
esac
say "everything for \`make $purpose\` is there (${SECONDS} s)"
