#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve in the background and nbd-connect to it: two connections over TCP, a filesystem that is
# used and checked afterwards; then with an overlay, and the server stopped under an attached device.
# What is attached for writing elsewhere is refused.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image /ext4/disk.img 64M
# Where the server may remove its file again, once it is nobody.
mkdir run && chown nobody run
uri=$(nbd-serve --listen localhost:0 --pid-file run/pid --user nobody data=/ext4/disk.img) || fail "nbd-serve"
trap 'kill "$(cat run/pid 2>/dev/null)" 2>/dev/null; umount /mnt 2>/dev/null; rm -f /ext4/disk.img' EXIT
uri=$(head -n 1 <<<"$uri")

device=$(attach nbd-connect -C 2 "$uri") || fail "nbd-connect"
expect_match '^2$' "$(nbd-list --raw -n -O CONNS | sort | tail -n 1)"
mkfs.ext4 -q "$device" || fail "mkfs"
mount "$device" /mnt || fail "mount"
dd if=/dev/urandom of=/mnt/file bs=1M count=16 conv=fsync 2>/dev/null || fail "write"
sum=$(md5sum </mnt/file)
if ! cp /mnt/file /mnt/other || ! rm /mnt/file || ! fstrim /mnt || ! umount /mnt; then
	fail "use"
fi
fsck.ext4 -fn "$device" >/dev/null 2>&1 || fail "fsck"
mount "$device" /mnt || fail "mount"
[[ $(md5sum </mnt/other) == "$sum" ]] || fail "it reads as something else"
umount /mnt || fail "umount"
expect_status 0 nbd-disconnect "$device"
verify_export "$uri" -C 2
expect_status 0 kill "$(<run/pid)"
wait_for 10 test ! -e run/pid

# What verify_export wrote over the filesystem is in the image; begin again, in an overlay.
mkfs.ext4 -qF /ext4/disk.img || fail "mkfs on the image"
before=$(md5sum </ext4/disk.img)
nbd-serve --unix "$T/socket" --pid-file run/pid --overlay /ext4/disk.img >/dev/null || fail "nbd-serve --overlay"
device=$(attach nbd-connect -C 2 -u "$T/socket") || fail "nbd-connect"
mount "$device" /mnt || fail "mount"
dd if=/dev/zero of=/mnt/file bs=1M count=8 conv=fsync 2>/dev/null || fail "write"
umount /mnt || fail "umount"
# A server that ends lets the kernel go; the device is dead, and can be detached all the same.
expect_status 0 kill "$(<run/pid)"
wait_for 10 test ! -e run/pid
[[ ! -e socket ]] || fail "the socket is left"
expect_status 1 nbd-disconnect --force "$device"
expect_match 'flush failed' "$err"
[[ ! -e /sys/block/${device#/dev/}/pid ]] || fail "still attached"
[[ $(md5sum </ext4/disk.img) == "$before" ]] || fail "the image has changed"

device=$(nbd-loop /ext4/disk.img) || fail "nbd-loop"
expect_status 4 nbd-serve --unix "$T/socket" /ext4/disk.img
expect_match "attached for writing to $device" "$err"
for option in --read-only --overlay --force; do
	expect_status 0 nbd-serve --unix "$T/socket" "$option" --run true /ext4/disk.img
done
# A block device that is mounted.
mount "$device" /mnt || fail "mount"
expect_status 4 nbd-serve --unix "$T/socket" "$device"
expect_match 'force' "$err"
expect_status 0 nbd-serve --unix "$T/socket" --force --run true "$device"
umount /mnt || fail "umount"
expect_status 0 nbd-loop -d "$device"
