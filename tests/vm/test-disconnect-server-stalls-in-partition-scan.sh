#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server that stalls while the kernel looks for partitions makes every open of the device wait,
# without any limit here: nbd-disconnect gives up in time, and with --force frees the device.
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
need nbdkit nbd-client
load_nbd
start_background nbdkit -f -U "$T/socket" --filter=delay memory 16M rdelay=1000
wait_for 20 test -S socket
nbd-client -unix "$T/socket" /dev/nbd0 >/dev/null 2>&1 || fail "nbd-client"
(: </dev/nbd0) &
opener=$!
sleep 1

begin=$SECONDS
expect_status 7 timeout 30 nbd-disconnect --timeout 3 nbd0
expect_match 'still attached.*could not be opened within 3 s' "$err"
[[ -e /sys/block/nbd0/pid ]] || fail "detached without --force"
# By ioctl it cannot even be disconnected, as that needs the device open.
expect_status 7 timeout 30 unshare -n nbd-disconnect --force --timeout 1 nbd0
expect_status 7 timeout 30 nbd-disconnect --force --timeout 3 nbd0
expect_match 'its flush failed' "$err"
[[ ! -e /sys/block/nbd0/pid ]] || fail "still attached"
((SECONDS - begin < 45)) || fail "took $((SECONDS - begin)) s"
wait $opener
