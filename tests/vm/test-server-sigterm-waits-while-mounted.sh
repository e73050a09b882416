#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM while the device is mounted: it stays until the unmount, then goes.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
pid=$(nbd-list -n --raw -O PID "$device")
mkfs.ext4 -q "$device"
mkdir mnt
mount "$device" mnt
kill -TERM "$pid"
sleep 2
echo still works >mnt/file || fail "write while waiting"
sync -f mnt || fail "sync while waiting"
umount mnt
gone() { [[ ! -e /proc/$pid && ! -e /sys/block/${device#/dev/}/pid ]]; }
wait_for 20 gone
e2fsck -fn disk.img || fail "fsck"
