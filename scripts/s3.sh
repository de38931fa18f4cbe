#!/usr/bin/env bash
# s3.sh start DIR | stop DIR: a throw-away S3 server, Ceph's radosgw over one monitor, one manager and one OSD, on free
# ports of the loopback interface.
#
# `start` prints three lines for a shell to evaluate: PACKHOUSE_TEST_S3 (an address as `--bucket` takes it) and the two
# keys. The bucket it names exists. DIR must be new: a stopped server is not started again.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

[ $# = 2 ] || die "usage: s3.sh start DIR | stop DIR"
command=$1
mkdir -p "$2"
dir=$(realpath "$2")
BUCKET=packhouse-test
ACCESS_KEY=packhouse-test-access
SECRET_KEY=packhouse-test-secret

# Ceph drops to its own user unless told otherwise, and that user may not reach DIR.
stay=()
[ "$(id -u)" != 0 ] || stay=(--setuser root --setgroup root)
conf=(-c "$dir/ceph.conf")
log=$dir/log/setup.log

# Runs a command whose output matters only when it fails. A daemon leaves the foreground by itself, but would keep the
# caller's pipes open.
quiet() {
    "$@" </dev/null >>"$log" 2>&1 || { tail -20 "$log" >&2; die "failed: $*"; }
}

write_configuration() {
    local mon_v1 mon_v2
    read -r mon_v1 mon_v2 port < <(free_ports 3)
    monitors="[v2:127.0.0.1:$mon_v2,v1:127.0.0.1:$mon_v1]"
    fsid=$(cat /proc/sys/kernel/random/uuid)
    cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = $monitors
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = $dir/run
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
admin socket = $dir/run/\$name.asok
keyring = $dir/keyring
crash dir = $dir/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
mon pg warn min per osd = 0
mon max pg per osd = 1000
ms bind ipv6 = false
[mon.a]
host = localhost
mon data = $dir/mon
[mgr.x]
mgr data = $dir/mgr
mgr initial modules =
[osd]
osd data = $dir/osd
osd objectstore = bluestore
bluestore block size = 10737418240
bluestore fsck on mount = false
osd memory target = 939524096
osd class load list = *
osd class default list = *
[client.rgw]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw thread pool size = 64
rgw dynamic resharding = false
CONF
}

write_keys() {
    quiet ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    add_key client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    add_key mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
    add_key osd.0 --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'
    add_key client.rgw --cap mon 'allow rwx' --cap osd 'allow rwx'
}

add_key() {
    local name=$1
    shift
    quiet ceph-authtool "$dir/keyring" --gen-key -n "$name" "$@"
}

osd_is_up() {
    ceph "${conf[@]}" osd stat -f json 2>/dev/null | grep -q '"num_up_osds":1'
}

gateway_answers() {
    curl -s --noproxy '*' -o /dev/null "http://127.0.0.1:$port/"
}

start() {
    [ ! -e "$dir/ceph.conf" ] || die "$dir already holds a server: stop it and remove the folder"
    # The path of a unix socket has at most 107 bytes.
    ((${#dir} < 75)) || die "$dir is too long a path for Ceph's sockets"
    mkdir -p "$dir"/{run,log,crash,mon,mgr,osd,rgw}
    write_configuration
    write_keys
    quiet monmaptool --create --clobber --fsid "$fsid" --addv a "$monitors" "$dir/monmap"
    quiet ceph-mon "${conf[@]}" --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring" "${stay[@]}"
    quiet ceph-mon "${conf[@]}" -i a "${stay[@]}"
    quiet ceph "${conf[@]}" auth import -i "$dir/keyring"
    quiet ceph-mgr "${conf[@]}" -i x "${stay[@]}"
    local osd_id
    osd_id=$(cat /proc/sys/kernel/random/uuid)
    quiet ceph "${conf[@]}" osd new "$osd_id" 0
    quiet ceph-osd "${conf[@]}" -i 0 --mkfs --osd-uuid "$osd_id" "${stay[@]}"
    quiet ceph "${conf[@]}" osd crush add osd.0 1.0 root=default host=h0
    quiet ceph-osd "${conf[@]}" -i 0 "${stay[@]}"
    wait_until 60 osd_is_up || { tail -20 "$dir"/log/osd.0.log >&2; die "the OSD did not come up"; }
    quiet radosgw "${conf[@]}" -n client.rgw "${stay[@]}"
    wait_until 120 gateway_answers || { tail -20 "$dir"/log/client.rgw.log >&2; die "radosgw does not answer"; }
    quiet radosgw-admin "${conf[@]}" user create --uid=packhouse --display-name=packhouse \
        --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY"
    S3_ACCESS_KEY=$ACCESS_KEY S3_SECRET_KEY=$SECRET_KEY \
        python3 scripts/s3_create_bucket.py "http://127.0.0.1:$port" "$BUCKET"
    say "radosgw runs in $dir"
    cat <<OUT
export PACKHOUSE_TEST_S3='s3://$BUCKET?endpoint=http://127.0.0.1:$port&region=us-east-1'
export PACKHOUSE_TEST_S3_ACCESS_KEY='$ACCESS_KEY'
export PACKHOUSE_TEST_S3_SECRET_KEY='$SECRET_KEY'
OUT
}

# The daemons that still run. One that was killed and that nobody has waited for yet has no executable any more.
running() {
    local file pid
    for file in "$dir"/run/*.pid; do
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        [ ! -e "/proc/$pid/exe" ] || printf '%s\n' "$pid"
    done
}

all_gone() {
    [ -z "$(running)" ]
}

# Nothing here is worth keeping, so no daemon is asked to finish its work.
stop() {
    local pids
    mapfile -t pids < <(running)
    ((${#pids[@]})) || return 0
    kill -9 "${pids[@]}" 2>/dev/null || true
    wait_until 10 all_gone || die "still running: $(running)"
    say "stopped"
}

case $command in
    start) start ;;
    stop) stop ;;
    *) die "usage: s3.sh start DIR | stop DIR" ;;
esac
