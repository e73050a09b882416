#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A device that device-mapper or swap holds is refused, and the holder is named.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
mkswap -q "$device"
swapon "$device"
expect_status 4 nbd-disconnect "$device"
expect_match 'swap' "$err"
swapoff "$device"
expect_status 0 nbd-disconnect "$device"
