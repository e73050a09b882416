#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-disconnect refuses a mounted device and says where it is mounted; --force does it; a second
# disconnect says that nothing is connected.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
mkfs.ext4 -q "$device"
mkdir mnt
mount "$device" mnt
expect_status 4 nbd-disconnect "$device"
expect_match "$device is mounted on $PWD/mnt" "$err"
expect_status 4 nbd-loop -d "$device"
echo still works >mnt/file
sync -f mnt
expect_status 4 nbd-disconnect --force --timeout 2 "$device"
expect_match 'still' "$err"
umount mnt
free() { [[ ! -e /sys/block/${device#/dev/}/pid ]]; }
wait_for 20 free
expect_status 3 nbd-disconnect "$device"
expect_match 'not connected' "$err"
expect_status 0 nbd-disconnect --idempotent "$device"
