#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The server's minimum becomes the logical block size, its maximum bounds the requests; what the
# kernel cannot do is refused.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" --filter=blocksize-policy memory 16M \
	blocksize-minimum=4096 blocksize-preferred=4096 blocksize-maximum=64K blocksize-error-policy=error
wait_for 10 test -S socket
device=$(nbd-connect -u socket) || fail "connect"
[[ $(blockdev --getss "$device") == 4096 ]] || fail "logical block size"
(( $(cat "/sys/block/${device#/dev/}/queue/max_sectors_kb") <= 64 )) || fail "request size"
mkfs.ext4 -q "$device" || fail "mkfs"
dd if="$device" of=/dev/null bs=4M iflag=direct 2>/dev/null || fail "large reads"
expect_status 0 nbd-disconnect "$device"
expect_status 1 nbd-connect -b 512 -u socket
expect_match 'minimum' "$err"
start_background nbdkit -f -U "$T/large" --filter=blocksize-policy memory 16M \
	blocksize-minimum=64K blocksize-preferred=64K blocksize-maximum=1M
wait_for 10 test -S large
expect_status 1 nbd-connect -u large
expect_match '65536' "$err"
