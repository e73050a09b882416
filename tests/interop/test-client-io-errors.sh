#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a server refuses comes with the request, the error and the server's own words; then it goes on.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
check() {
	local replies
	for replies in --mask-handshake=3 --no-sr; do
		serve_nbdkit "$replies" --filter=error memory 16M error-pread=EIO \
			error-pwrite=ENOSPC error-trim=EPERM error-zero=EINVAL error-extents=ENOMEM \
			error-rate=100%
		expect_refusal 'READ of 4096 bytes at offset 512 failed: Input/output error' \
			"$uri" 'verify 512 4096 zero'
		expect_refusal 'READ of 262144 bytes' "$uri" 'verify 0 16777216 zero'
		expect_refusal 'WRITE of 4096 bytes at offset 0 failed: No space left' "$uri" 'write 0 4096 1'
		expect_refusal 'TRIM of 4096 bytes at offset 0 failed: Operation not permitted' \
			"$uri" 'trim 0 4096'
		expect_refusal 'WRITE_ZEROES of 4096 bytes at offset 0 failed: Invalid argument' \
			"$uri" 'zero 0 4096'
		[[ $replies == --no-sr ]] || expect_refusal \
			'BLOCK_STATUS of 16777216 bytes at offset 0 failed: Cannot allo' \
			--context base:allocation "$uri" map
		end_peer
	done
	# Only some of many requests in flight fail.
	serve_nbdkit --filter=error memory 64M error-pread-rate=5% error-pread=EIO
	expect_refusal 'Input/output error' "$uri" 'verify 0 67108864 zero' 'verify 0 67108864 zero' \
		'verify 0 67108864 zero'
	end_peer
	# shellcheck disable=SC2016 # for the plugin's shell
	serve_nbdkit -r eval get_size='echo 1M' pread='echo "ENOMEM" >&2; exit 1' can_flush='exit 3'
	expect_refusal 'failed: Cannot allocate memory' "$uri" 'verify 0 512 zero'
	expect_refusal 'read-only' "$uri" 'write 0 512 1'
	expect_refusal 'does not support FLUSH' "$uri" flush
	end_peer
}

over_all_ways check
