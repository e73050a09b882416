#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file with thousands of holes, mapped and read in one go.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
extents=2000
python3 -c "
with open('disk.img', 'wb') as file:
    for i in range($extents):
        file.seek(i * 16384)
        file.write(bytes([i % 255 + 1]) * 4096)
    file.truncate($extents * 16384)"

check() {
	serve_nbdkit file disk.img
	client_io --context base:allocation "$uri" map >mapped
	same_text "$((2 * extents))" "$(wc -l <mapped)"
	awk '{ want = NR % 2 ? 4096 : 12288; if ($2 != at || $3 != want || $4 != (NR % 2 ? 0 : 3)) exit 1
		at += $3 }' mapped || fail "$(head mapped)"
	end_peer
	# With holes, a structured reply to a read has many chunks.
	serve_qemu_nbd -f raw -r disk.img
	client_io --context base:allocation "$uri" map >mapped-by-qemu
	cmp mapped mapped-by-qemu
	client_io "$uri" 'verify 4096 12288 zero' 'verify 32747520 4096 zero'
	end_peer
}

over_all_ways check
