#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# -c takes over a changed size of the file, online.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
truncate -s 32M disk.img
[[ $(blockdev --getsize64 "$device") == 16777216 ]] || fail "size changed by itself"
expect_status 0 nbd-loop -c "$device"
[[ $(blockdev --getsize64 "$device") == 33554432 ]] || fail "size not taken over"
dd if=/dev/zero of="$device" bs=1M seek=31 count=1 oflag=direct 2>/dev/null || fail "write"
expect_status 0 nbd-loop -d "$device"
