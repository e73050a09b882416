#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A connected export needs no process of ours, and nbd-list still knows where it comes from.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" memory 4M
wait_for 10 test -S socket
device=$(nbd-connect -u "$T/socket") || fail "connect"
pgrep -x nbd-connect && fail "a process stayed"
expect_status 0 nbd-list -n --raw -O STATE,KIND,SOURCE "$device"
expect_match '^connected remote nbd\+unix:///\?socket=' "$out"
expect_match '^nbd-tools:[0-9a-f-]+:nbd\+unix' "$(cat "/sys/block/${device#/dev/}/backend")"
expect_status 0 nbd-disconnect "$device"
device=$(nbd-connect -i "my disk" -u "$T/socket") || fail "connect"
expect_status 0 nbd-list -n --raw -O SOURCE "$device"
expect_match 'my.*disk' "$out"
expect_status 0 nbd-disconnect -a
