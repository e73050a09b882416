#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A device of somebody else's, written against the public header alone: serve-memory.c.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
serve_by "$BUILD/interop/serve-memory" "$socket" 64M

# map EXPECTED: lines of offset, length and flags.
map() {
	same_text "$1" "$(nbdinfo --map=base:allocation --json "$uri" | jq -r '.[] | "\(.offset) \(.length) \(.type)"')"
}

# What it can do is announced.
for ability in flush fua multi-conn trim zero fast-zero df; do
	nbdinfo --can "$ability" "$uri" || fail "cannot $ability"
done
for ability in read-only rotational; do
	expect_failure nbdinfo --is "$ability" "$uri"
done
expect_failure nbdinfo --can cache "$uri"
same_text 67108864 "$(nbdinfo --size "$uri")"

# It is empty, holds what is written, and knows where.
map '0 67108864 3'
qemu_io 'write -P 1 1M 64k' 'write -P 2 5000 100' 'read -P 1 1M 64k' 'read -P 2 5000 100' 'read -P 0 4k 904' \
	'write -f -P 3 2M 4k' 'write -z 1028k 4k' 'write -z -u 1036k 4k' 'discard 1044k 4k' flush \
	'read -P 0 1028k 4k' 'read -P 1 1032k 4k' 'read -P 0 1036k 4k' 'read -P 1 1040k 4k'
map '0 4096 3
4096 4096 0
8192 1040384 3
1048576 12288 0
1060864 4096 3
1064960 4096 0
1069056 4096 3
1073152 40960 0
1114112 983040 3
2097152 4096 0
2101248 65007616 3'
client_io --extended "$uri" 'zero 0 67108864 fast' 'cache 0 4096' 2>/dev/null && fail "cached"
map '0 67108864 3'

# Several connections at a time, both ways, holes and all.
random_image disk.img 40
truncate -s 64M disk.img
fallocate -p -o 10M -l 5M disk.img
nbdcopy --connections=4 disk.img "$uri"
nbdcopy --connections=4 "$uri" back.img
cmp disk.img back.img
expect_json '[.[] | select(.type == 3) | .length] | add' $((29 << 20)) <(nbdinfo --map=base:allocation --json "$uri")
qemu-img compare -f raw -F raw disk.img "$uri"
fio --name=mixed --ioengine=nbd --uri="$uri" --rw=randrw --bsrange=512-64k --iodepth=16 --size=8M \
	--verify=crc32c --output=fio.log || fail "$(<fio.log)"
kill -TERM "$peer"
wait "$peer" || fail "it left with status $?"
[[ ! -e $socket ]] || fail "it left its socket"
