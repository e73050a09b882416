#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A block device is a fine FILE: its size, its data, and nothing left behind.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
head -c 4M /dev/urandom >lower.img
lower=$(losetup --find --show lower.img)
device=$(nbd-loop "$lower") || fail "attach"
cmp lower.img "$device" || fail "content"
echo upper | dd of="$device" conv=notrunc oflag=sync 2>/dev/null
expect_status 0 nbd-loop -d "$device"
losetup -d "$lower"
[[ $(head -n 1 lower.img) == upper ]] || fail "the write did not reach the file"
