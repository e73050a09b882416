#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server that is stopped with requests in flight: nbd-disconnect comes back within its limits.
# vm: timeout=180
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" memory 64M
server=$!
wait_for 20 test -S socket
device=$(nbd-connect -t 5 -u socket) || fail "connect"
kill -STOP $server
timeout 100 dd if=/dev/zero of="$device" bs=1M count=32 oflag=direct 2>/dev/null &
sleep 1
begin=$SECONDS
timeout 100 nbd-disconnect --timeout 3 "$device"
(( SECONDS - begin < 60 )) || fail "took $((SECONDS - begin)) s"
kill -CONT $server
wait %2
free() { [[ ! -e /sys/block/${device#/dev/}/pid ]]; }
wait_for 20 free
