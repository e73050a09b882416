#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Between a look at a device and the claim on it, another may detach it and attach something else:
# that is not hit.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
need strace
load_nbd
make_image disk.img 8M
make_image other.img 8M
expect_status 0 nbd-loop disk.img nbd0
strace -f -qq -o strace.log -P /dev/nbd0 -e trace=openat -e inject=openat:delay_enter=15000000 \
	nbd-disconnect nbd0 2>disconnect.log &
disconnect=$!
sleep 4
expect_status 0 nbd-loop -d nbd0
expect_status 0 nbd-loop other.img nbd0
wait $disconnect
status=$?
((status == 3)) || fail "status $status: $(<disconnect.log)"
expect_match 'nbd0 was detached by another meanwhile' "$(<disconnect.log)"
expect_status 0 nbd-loop -d other.img
