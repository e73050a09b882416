#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# -b sets the logical block size.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop -b 4096 disk.img) || fail "attach"
[[ $(blockdev --getss "$device") == 4096 ]] || fail "logical block size"
expect_status 0 nbd-loop -d "$device"
expect_status 2 nbd-loop -b 768 disk.img
expect_match 'power of two' "$err"
