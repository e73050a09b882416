#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image with a partition table and ext4 keeps a tree of files over detach and attach, and a
# losetup of the same image agrees.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 64M
echo ',,L' | sfdisk --quiet disk.img
device=$(nbd-loop disk.img) || fail "attach"
[[ -b ${device}p1 ]] || fail "${device}p1 is not there when nbd-loop returns"
mkfs.ext4 -q "${device}p1"
mkdir mnt
mount "${device}p1" mnt
cp -r /usr/share/doc/bash /etc/default mnt/
(cd mnt && find . -type f -exec sha256sum {} + | sort -k 2) >sums.before
umount mnt
expect_status 0 nbd-loop -d "$device"
[[ ! -e ${device}p1 ]] || fail "${device}p1 is still there after the detach"

device=$(nbd-loop disk.img) || fail "attach again"
mount "${device}p1" mnt
(cd mnt && find . -type f -exec sha256sum {} + | sort -k 2) >sums.after
umount mnt
cmp sums.before sums.after || fail "files changed"
e2fsck -fn "${device}p1" || fail "fsck finds errors"
expect_status 0 nbd-loop -d "$device"

loop=$(losetup --find --show --partscan --read-only disk.img)
wait_for 10 test -b "${loop}p1"
mount -o ro,noload "${loop}p1" mnt
(cd mnt && find . -type f -exec sha256sum {} + | sort -k 2) >sums.losetup
umount mnt
losetup -d "$loop"
cmp sums.before sums.losetup || fail "losetup sees other files"
