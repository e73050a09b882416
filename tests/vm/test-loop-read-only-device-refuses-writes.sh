#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# -r makes a device that the kernel does not let anybody write to.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop -r disk.img) || fail "attach"
[[ $(blockdev --getro "$device") == 1 ]] || fail "not read-only"
dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct 2>/dev/null && fail "written"
expect_status 0 nbd-loop -d "$device"
device=$(nbd-loop disk.img) || fail "attach again"
[[ $(blockdev --getro "$device") == 0 ]] || fail "still read-only"
expect_status 0 nbd-loop -d "$device"
