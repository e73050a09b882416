#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client keeps to the block sizes that a server insists on, and says so where its caller does not.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
check() {
	serve_nbdkit --filter=blocksize-policy memory 64M blocksize-minimum=4096 \
		blocksize-preferred=65536 blocksize-maximum=131072 blocksize-error-policy=error
	expect_facts 'blocks=4096,65536,131072' "$uri"
	client_io "$uri" 'write 4096 20971520 3' 'verify 4096 20971520 3' 'zero 8192 1048576' \
		'verify 8192 1048576 zero' 'trim 0 67108864'
	expect_refusal 'whole blocks of 4096 bytes' "$uri" 'write 512 4096 1'
	expect_refusal 'whole blocks of 4096 bytes' "$uri" 'verify 0 512 zero'
	end_peer
	# A maximum that is no multiple of the preferred size.
	serve_nbdkit --filter=blocksize-policy memory 64M blocksize-minimum=512 \
		blocksize-preferred=4096 blocksize-maximum=99840 blocksize-error-policy=error
	expect_refusal 'whole blocks of 512 bytes' "$uri" 'write 512 1000 3'
	client_io "$uri" 'write 512 10000384 3' 'verify 512 10000384 3'
	end_peer
}

over_all_ways check
