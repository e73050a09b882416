#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# While somebody's disconnect blocks all of generic netlink, attaching fails in bounded time and
# says why, instead of taking the silence for a kernel that only has ioctls.
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
need nbdkit nbd-client
load_nbd
start_background nbdkit -f -U "$T/stuck" memory 64M
stuck=$!
start_background nbdkit -f -U "$T/other" memory 16M
wait_for 20 test -S stuck
wait_for 20 test -S other
make_image disk.img 16M

# A server that does not read any more, its socket full, no timeout: the disconnect waits for ever.
nbd-client -unix "$T/stuck" /dev/nbd0 >/dev/null 2>&1 || fail "nbd-client"
wait_for 20 test -e /sys/block/nbd0/pid
udevadm settle
kill -STOP $stuck
dd if=/dev/zero of=/dev/nbd0 bs=1M count=32 oflag=direct 2>/dev/null &
writer=$!
sleep 1
nbd-client -d /dev/nbd0 >/dev/null 2>&1 &
disconnect=$!
sleep 1

expect_status 7 nbd-connect -u other
expect_match 'the kernel does not answer' "$err"
expect_status 7 nbd-loop disk.img
expect_match 'the kernel does not answer' "$err"
[[ $(echo /sys/block/nbd*/pid) == /sys/block/nbd0/pid ]] || fail "something was attached"

kill -CONT $stuck
wait $disconnect $writer
gone() { [[ ! -e /sys/block/nbd0/pid ]]; }
wait_for 20 gone
expect_status 0 nbd-connect -u other
expect_status 0 nbd-disconnect "$out"
