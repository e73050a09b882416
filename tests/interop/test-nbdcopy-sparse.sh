#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A sparse image stays sparse in both directions: zeroes become holes, and holes are not copied.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 64M source.img
random_image part 1
dd if=part of=source.img bs=1M seek=20 conv=notrunc status=none

# sparse FILE: hardly anything of it is allocated.
sparse() {
	local used
	used=$(du -k "$1" | cut -f 1)
	((used < 8192)) || fail "$1: $used KiB are allocated"
}

check() {
	local connections
	random_image disk.img 64
	serve disk=disk.img
	nbdcopy --connections=4 --flush source.img "$uri"
	cmp source.img disk.img
	sparse disk.img
	for connections in 1 4; do
		nbdcopy --connections=$connections "$uri" back.img
		cmp source.img back.img
		sparse back.img
		rm back.img
	done
	# Copied as they come, the reads themselves have the holes.
	nbdcopy --no-extents --allocated --connections=4 --request-size=4194304 "$uri" back.img
	cmp source.img back.img
	end_server
}

over_all_ways check
