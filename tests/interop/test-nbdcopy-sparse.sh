#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A sparse image stays sparse: nbdcopy's zeroes become holes.
. "$(dirname "$0")/common.sh"
truncate -s 64M source.img
random_image part 1
dd if=part of=source.img bs=1M seek=20 conv=notrunc status=none
random_image disk.img 64
serve disk=disk.img
nbdcopy --connections=4 --flush source.img "$uri"
cmp source.img disk.img
used=$(du -k disk.img | cut -f 1)
((used < 8192)) || fail "$used KiB are allocated"
end_server
