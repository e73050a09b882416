#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file that can only be read attaches read-only, and that is said.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 1M
mkdir ro
mount --bind . ro
mount -o remount,bind,ro ro
expect_status 0 nbd-loop ro/disk.img
device=$out
expect_match 'read-only' "$err"
[[ $(blockdev --getro "$device") == 1 ]] || fail "writable"
expect_status 0 nbd-loop -d "$device"
umount ro
