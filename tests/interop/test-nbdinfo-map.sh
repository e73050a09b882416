#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbdinfo maps a sparse file, and what was trimmed and zeroed in it.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image part 1

# mapped EXPECTED: lines of offset, length and flags.
mapped() {
	nbdinfo --map=base:allocation --json "$uri" >map
	same_text "$1" "$(jq -r '.[] | "\(.offset) \(.length) \(.type)"' map)"
}

check() {
	rm -f disk.img
	truncate -s 64M disk.img
	dd if=part of=disk.img bs=1M seek=10 conv=notrunc status=none
	dd if=part of=disk.img bs=1M seek=40 conv=notrunc status=none
	serve disk=disk.img
	mapped '0 10485760 3
10485760 1048576 0
11534336 30408704 3
41943040 1048576 0
42991616 24117248 3'
	nbdinfo --map --totals "$uri" >totals
	grep -q '2097152 *3.1% *0 *data' totals
	# (Zeroes that stay allocated may look either way.)
	qemu_io 'discard 10M 512k' 'write -z -u 41728k 256k' 'write -P 1 0 64k'
	mapped '0 65536 0
65536 10944512 3
11010048 524288 0
11534336 30408704 3
41943040 786432 0
42729472 24379392 3'
	end_server
}

over_all_ways check
