#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The ioctl path in full: attach, partitions, use, records, busy, detach; for images and exports.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M
echo ',,L' | sfdisk --quiet disk.img
device=$(nbd-loop --ioctl disk.img) || fail "attach"
[[ ! -e /sys/block/${device#/dev/}/backend ]] || fail "this was netlink"
[[ -b ${device}p1 ]] || fail "no partition"
expect_status 0 nbd-list -n --raw -O STATE,KIND "$device"
expect_match '^connected loop' "$out"
expect_status 5 nbd-loop --ioctl --force disk.img "$device"
mkfs.ext4 -q "${device}p1"
mkdir mnt
mount "${device}p1" mnt
cp -r /etc/default mnt
expect_status 4 nbd-loop -d "$device"
umount mnt
expect_status 0 nbd-loop -d "$device"
[[ -z $(nbd-list -n) ]] || fail "still attached"
start_background nbdkit -f -U "$T/socket" memory 16M
wait_for 20 test -S socket
device=$(nbd-connect -L -u socket) || fail "connect"
dd if=/dev/urandom of="$device" bs=1M count=4 oflag=direct 2>/dev/null || fail "write"
expect_status 0 nbd-list -n --raw -O STATE,KIND "$device"
expect_match '^connected remote' "$out"
expect_status 0 nbd-disconnect "$device"
gone() { ! pgrep -x nbd-connect && ! pgrep -x nbd-loop; }
wait_for 20 gone
