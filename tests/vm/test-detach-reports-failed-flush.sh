#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A flush that fails at the detach is reported; SIGUSR1 makes writes fail and work again.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
pid=$(nbd-list -n --raw -O PID "$device")
exec 5<"$device"
kill -USR1 "$pid"
fails() { ! dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct 2>/dev/null; }
wait_for 10 fails
kill -USR1 "$pid"
works() { dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct 2>/dev/null; }
wait_for 10 works
kill -USR1 "$pid"
wait_for 10 fails
dd if=/dev/urandom of="$device" bs=64k count=1 conv=notrunc 2>/dev/null
expect_status 1 nbd-loop -d "$device"
expect_match 'flush' "$err"
exec 5<&-
free() { [[ ! -e /sys/block/${device#/dev/}/pid ]]; }
wait_for 20 free
