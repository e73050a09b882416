#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# qemu-img maps, compares and converts a sparse export.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image part 2
truncate -s 100M disk.img
dd if=part of=disk.img bs=1M seek=30 conv=notrunc status=none
serve disk=disk.img
qemu-img map -f raw --output=json "$uri" >extents.json
expect_json '[.[] | "\(.start) \(.length) \(.data) \(.zero)"] | join(", ")' \
	'0 31457280 false true, 31457280 2097152 true false, 33554432 71303168 false true' extents.json
qemu-img convert -f raw -O raw "$uri" back.img
qemu-img compare -f raw -F raw "$uri" back.img
cmp disk.img back.img
used=$(du -k back.img | cut -f 1)
((used < 8192)) || fail "$used KiB are allocated"
qemu-img convert -n -f raw -O raw part "$uri"
qemu_io 'read -P 0 40M 16M' 'write -zun 0 1M' 'read -P 0 0 1M'
end_server
