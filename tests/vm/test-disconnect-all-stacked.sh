#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-disconnect -a and nbd-loop -D detach devices that lie on others first, whatever their numbers,
# and say of the rest who uses it. What another has attached meanwhile is left alone.
# vm: timeout=400
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
load_nbd
make_image disk.img 16M
make_image other.img 16M
echo ',,L' | sfdisk --quiet disk.img
attach() {
	expect_status 0 nbd-loop "$@"
}

attach disk.img nbd0
attach /dev/nbd0p1 nbd1
expect_status 0 nbd-disconnect -a
attach disk.img nbd5
attach /dev/nbd5p1 nbd2
expect_status 0 nbd-loop -D

# A mounted one is left, and the one that it lies on.
attach disk.img nbd5
attach /dev/nbd5p1 nbd2
attach other.img nbd3
mkfs.ext4 -q /dev/nbd2
mkdir mnt
mount /dev/nbd2 mnt
expect_status 4 nbd-disconnect -a
expect_match "/dev/nbd2 is mounted on $T/mnt" "$err"
expect_match "/dev/nbd5p1 is held by nbd2" "$err"
[[ $(nbd-list -n --raw -O DEVICE) == $'/dev/nbd2\n/dev/nbd5' ]] || fail "left: $(nbd-list -n)"

# It waits for both, and finds another attachment there when it looks again.
nbd-disconnect -a --wait=60 2>disconnect.log &
disconnect=$!
wait_for 20 grep -q waiting disconnect.log
kill -STOP $disconnect
umount mnt
expect_status 0 nbd-loop -d nbd2
attach other.img nbd2
kill -CONT $disconnect
wait $disconnect || fail "status $?: $(<disconnect.log)"
[[ $(nbd-list -n --raw -O DEVICE) == /dev/nbd2 ]] || fail "left: $(nbd-list -n)"

mkfs.ext4 -q /dev/nbd2
mount /dev/nbd2 mnt
expect_status 4 nbd-loop -d nbd2
expect_match 'is mounted' "$err"
expect_status 4 nbd-loop -d --force nbd2
expect_match 'nbd2 is disconnected, but still in use' "$err"
umount mnt
