#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A block device that is mounted or held is not attached for writing, and one that is attached so
# can be neither mounted nor detached. Readers share it.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
load_nbd
make_image disk.img 32M
echo ',,L' | sfdisk --quiet disk.img
mkdir mnt

# Of the disk that FILE is, or is on, the first partition is mounted.
refuse_mounted() {
	expect_status 4 nbd-loop "$1"
	expect_match "in use: $2 is mounted on $T/mnt.*--force" "$err"
	for option in --read-only --force; do
		expect_status 0 nbd-loop $option "$1"
		expect_status 0 nbd-loop -d "$out"
	done
}

loop=$(losetup --find --show --partscan disk.img)
wait_for 10 test -b "${loop}p1"
mkfs.ext4 -q "${loop}p1"
mount "${loop}p1" mnt
refuse_mounted "$loop" "${loop}p1"
umount mnt
losetup -d "$loop"

lower=$(nbd-loop disk.img) || fail "attach"
mount "${lower}p1" mnt
refuse_mounted "${lower}p1" "${lower}p1"
umount mnt

upper=$(nbd-loop "${lower}p1") || fail "attach upon it"
mount "${lower}p1" mnt 2>/dev/null && fail "the lower device was mounted"
expect_status 4 nbd-loop "${lower}p1"
expect_match "in use: ${lower}p1 is held by ${upper#/dev/}" "$err"
expect_status 0 nbd-loop --idempotent "${lower}p1"
[[ $out == "$upper" ]] || fail "not $upper: $out"
expect_status 4 nbd-disconnect "$lower"
expect_match "${lower}p1 is held by ${upper#/dev/}" "$err"
expect_status 0 nbd-loop -d "$upper"

upper=$(nbd-loop --read-only "${lower}p1") || fail "attach read-only"
expect_status 4 nbd-disconnect "$lower"
expect_match "${lower}p1 is held by ${upper#/dev/}" "$err"
expect_status 0 nbd-disconnect "$upper"
expect_status 0 nbd-disconnect "$lower"
