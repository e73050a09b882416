#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Overlapping writable attachments of one file are refused, the kernel's loop devices counted.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop -o 4M --sizelimit 4M disk.img) || fail "attach"
ln -s disk.img other-name
expect_status 4 nbd-loop other-name
expect_match "$device" "$err"
expect_status 0 nbd-loop -o 8M --sizelimit 4M disk.img
expect_status 0 nbd-loop -d "$out"
expect_status 0 nbd-loop -r disk.img
expect_status 0 nbd-loop -d "$out"
expect_status 0 nbd-loop --force disk.img
expect_status 0 nbd-loop -d "$out"
expect_status 0 nbd-loop -d "$device"
loop=$(losetup --find --show disk.img)
expect_status 4 nbd-loop disk.img
expect_match "$loop" "$err"
losetup -d "$loop"
