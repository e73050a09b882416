#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list --check tells by its status whether a device is connected, as nbd-connect -c does.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" memory 4M
wait_for 10 test -S socket
expect_status 1 nbd-list --check=nbd4
expect_status 0 nbd-connect -u socket /dev/nbd4
for device in nbd4 4 /dev/nbd4; do
	expect_status 0 nbd-list --check "$device"
	expect_match "^$(cat /sys/block/nbd4/pid)$" "$out"
done
expect_status 1 nbd-list --check=nbd5
expect_status 2 nbd-list --check=nbd99
expect_match 'nbd99' "$err"
expect_status 2 nbd-list --check=nbd4p1
expect_status 0 nbd-disconnect nbd4
expect_status 1 nbd-list --check=nbd4
