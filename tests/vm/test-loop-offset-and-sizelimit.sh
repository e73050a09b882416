#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# -o and --sizelimit attach just that part of the file, as losetup does; -j lists it, also as a table.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
seq 1 200000 | head -c 1048576 >disk.img
device=$(nbd-loop -r -o 4096 --sizelimit 64K disk.img) || fail "attach"
[[ $(blockdev --getsize64 "$device") == 65536 ]] || fail "size"
cmp -n 65536 -i 4096:0 disk.img "$device" || fail "content"
expect_status 0 nbd-loop -l --raw -n -O OFFSET,SIZELIMIT,RO "$device"
expect_match '^4096 65536 1$' "$out"
expect_status 0 nbd-loop -j disk.img
expect_match "^$device: .*/disk.img\\), offset 4096, sizelimit 65536\$" "$out"
expect_status 0 nbd-loop -j disk.img -n -O NAME,OFFSET
expect_match "^$device +4096\$" "$out"
expect_status 0 nbd-loop -l -j /etc/passwd
expect_match '^$' "$out"
expect_status 0 nbd-loop -d "$device"
