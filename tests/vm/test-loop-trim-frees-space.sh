#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A discard punches holes into the image; --discard=ignore offers none.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
head -c 8M /dev/urandom >disk.img
device=$(nbd-loop disk.img) || fail "attach"
(( $(du -k disk.img | cut -f 1) >= 8192 )) || fail "not allocated to begin with"
blkdiscard -o 1M -l 4M "$device" || fail "blkdiscard"
(( $(du -k disk.img | cut -f 1) <= 4200 )) || fail "no space freed: $(du -k disk.img)"
cmp -n 4194304 "$device" /dev/zero -i 1048576:0 || fail "the discarded range has data"
expect_status 0 nbd-loop -d "$device"
device=$(nbd-loop --discard=ignore disk.img) || fail "attach"
blkdiscard "$device" 2>/dev/null && fail "discarded in spite of --discard=ignore"
expect_status 0 nbd-loop -d "$device"
