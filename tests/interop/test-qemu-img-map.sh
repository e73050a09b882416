#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# qemu-img maps and converts a sparse export, and qemu-io finds zeroes where it has written none.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image part 2

check() {
	local used
	rm -f disk.img
	truncate -s 100M disk.img
	dd if=part of=disk.img bs=1M seek=30 conv=notrunc status=none
	serve disk=disk.img
	qemu-img map "${qemu_client[@]}" --output=json --image-opts "$qemu_image" >extents.json
	expect_json '[.[] | "\(.start) \(.length) \(.data) \(.zero)"] | join(", ")' \
		'0 31457280 false true, 31457280 2097152 true false, 33554432 71303168 false true' extents.json
	qemu-img convert "${qemu_client[@]}" --image-opts -O raw "$qemu_image" back.img
	cmp disk.img back.img
	used=$(du -k back.img | cut -f 1)
	((used < 8192)) || fail "$used KiB are allocated"
	qemu_io 'read -P 0 40M 16M' 'write -zun 30M 1M' 'read -P 0 30M 1M'
	cmp -n 1048576 -i 31457280:0 disk.img /dev/zero
	end_server
}

over_all_ways check
