#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image opened with O_DIRECT: the minimal block size is told, and data survives.
. "$(dirname "$0")/common.sh"
random_image source.img 8
truncate -s 8M disk.img
if ! dd if=disk.img of=probe bs=4096 count=1 iflag=direct status=none; then
	echo "this filesystem has no direct I/O"
	exit 77
fi
serve --direct-io disk=disk.img
minimum=$(nbdinfo --json "$uri" | sed -n 's/.*"block_size_minimum": \([0-9]*\).*/\1/p')
((minimum >= 512)) || fail "minimum is $minimum"
nbdcopy --connections=2 --flush source.img "$uri"
cmp source.img disk.img
qemu_io 'write -P 0x77 0 64k' 'write -z 4k 4k' 'read -P 0x77 0 4k' 'read -P 0 4k 4k' 'flush'
end_server
