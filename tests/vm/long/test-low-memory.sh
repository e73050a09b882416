#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# More dirty data than memory, through a filesystem on nbd-loop whose image is on a disk: the
# server, whose progress frees the memory, must not wait for memory itself.
# vm: boot=own memory=400M disk=2G timeout=900
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
image=/ext4/large.img
trap 'umount mnt 2>/dev/null; end_background' EXIT
need fio mkfs.ext4
load_nbd
make_image "$image" 1G
device=$(nbd-loop "$image") || fail "attach"
mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$device" || fail "mkfs"
mkdir mnt
mount "$device" mnt || fail "mount"
# Nothing may be written back before it must be, so that all is dirty at once.
echo 80 >/proc/sys/vm/dirty_ratio
echo 70 >/proc/sys/vm/dirty_background_ratio
echo 60000 >/proc/sys/vm/dirty_expire_centisecs
megabytes=$(awk '/^MemTotal/ { print int($2 / 1024 * 1.5) }' /proc/meminfo)
data() {
	fio --name=data --filename=mnt/data --size="${megabytes}M" --bs=256k \
		--verify=crc32c --verify_fatal=1 "$@" >fio.log 2>&1 || fail "fio $*: $(cat fio.log)"
}
data --rw=write --do_verify=0 --end_fsync=1
umount mnt || fail "umount"
echo 3 >/proc/sys/vm/drop_caches
mount -o ro "$device" mnt || fail "mount again"
data --rw=read --readonly
umount mnt || fail "umount"
expect_status 0 nbd-loop -d "$device"
rm "$image"
