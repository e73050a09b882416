#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The guest has the real driver, udev and disks: another's tools attach, partition, mount, detach.
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
need nbdkit nbd-client mkfs.ext4 sfdisk
load_nbd
make_image disk.img 64M
echo ',,L' | sfdisk --quiet disk.img
start_background nbdkit -f -U "$T/socket" file disk.img
wait_for 10 test -S socket
expect_status 0 nbd-client -unix "$T/socket" /dev/nbd0
[[ -e /sys/block/nbd0/pid ]] || fail "not attached"
wait_for 20 test -b /dev/nbd0p1
mkfs.ext4 -q /dev/nbd0p1 || fail "mkfs"
udevadm settle
expect_match 'ID_FS_TYPE=ext4' "$(udevadm info /dev/nbd0p1)"
mkdir mnt
mount /dev/nbd0p1 mnt || fail "mount"
echo "still here" >mnt/file
umount mnt
expect_status 0 nbd-client -d /dev/nbd0
gone() { [[ ! -e /sys/block/nbd0/pid ]]; }
wait_for 10 gone
expect_match 'still here' "$(debugfs -R 'cat file' "disk.img?offset=$((2048 * 512))" 2>/dev/null)"
findmnt -n -t ext4 /ext4 >/dev/null || fail "/ext4 is no disk"
as_nobody test -r disk.img || fail "nobody cannot look into the test's folder"
! as_nobody test -w disk.img || fail "nobody may write"
