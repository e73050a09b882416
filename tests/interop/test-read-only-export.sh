#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A read-only export says so, serves reads, and stays as it is.
. "$(dirname "$0")/common.sh"
random_image disk.img 4
cp disk.img before.img
serve --read-only disk=disk.img
nbdinfo --is read-only "$uri"
for ability in write trim zero fast-zero; do
	expect_failure nbdinfo --can $ability "$uri"
done
nbdinfo --can df "$uri"
nbdinfo --map --totals "$uri" | grep -q '4194304 100.0% *0 *data'
nbdcopy "$uri" back.img
cmp disk.img back.img
expect_failure qemu-io -f raw -c 'write 0 4k' "$uri"
expect_failure nbdcopy before.img "$uri"
end_server
cmp disk.img before.img
