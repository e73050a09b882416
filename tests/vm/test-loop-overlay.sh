#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-loop --overlay: the image stays as it is, what is written lasts in the overlay's file, which
# fits that image alone.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
load_nbd
make_image disk.img 32M
mkfs.ext4 -q disk.img
chmod 444 disk.img
before=$(sha256sum disk.img)
mkdir mnt

# One in a file lasts.
expect_status 0 nbd-loop --overlay=changes disk.img nbd0
mount /dev/nbd0 mnt
echo kept >mnt/file
umount mnt
expect_status 0 nbd-loop -d nbd0
[[ $(sha256sum disk.img) == "$before" ]] || fail "the image was changed"
(($(stat -c %b changes) * 512 < 4 << 20)) || fail "the overlay is not sparse: $(stat -c %b changes)"
expect_status 0 nbd-loop --overlay=changes disk.img nbd0

# It has one user; the image may have several, one of them in memory.
expect_status 4 nbd-loop --overlay=changes disk.img nbd1
expect_match 'changes is the overlay of another device' "$err"
expect_status 0 nbd-loop --overlay disk.img nbd1
mount /dev/nbd0 mnt
[[ $(<mnt/file) == kept ]] || fail "the overlay has lost a file"
umount mnt
mount /dev/nbd1 mnt
[[ ! -e mnt/file ]] || fail "one overlay shows what another has"
echo gone >mnt/file

# SIGUSR1 makes writes fail above it as well.
expect_status 0 nbd-list -n --raw -O DEVICE,PID /dev/nbd1
kill -USR1 "$(cat /sys/block/nbd1/pid)"
sleep 1
! dd if=/dev/zero of=/dev/nbd1 bs=4k count=1 oflag=direct seek=8000 2>dd.log || fail "writes do not fail"
kill -USR1 "$(cat /sys/block/nbd1/pid)"
umount mnt 2>/dev/null || umount -l mnt
expect_status 0 nbd-loop -D
expect_status 0 nbd-loop --overlay disk.img nbd1
mount /dev/nbd1 mnt
[[ ! -e mnt/file ]] || fail "what was in memory came back"
umount mnt
expect_status 0 nbd-loop -D

# Another image, or a changed one.
make_image other.img 32M
expect_status 1 nbd-loop --overlay=changes other.img
expect_match 'changes is an overlay for another file, or for this one before it was changed' "$err"
expect_status 1 nbd-loop --overlay=disk.img other.img
expect_match 'disk.img' "$err"
expect_status 2 nbd-loop --overlay --read-only disk.img
[[ $(sha256sum disk.img) == "$before" ]] || fail "the image was changed"
