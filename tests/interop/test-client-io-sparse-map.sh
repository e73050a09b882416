#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Block status tells where a sparse file has data, and what was trimmed and zeroed.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image part 1
expected='base:allocation 0 10485760 3
base:allocation 10485760 1048576 0
base:allocation 11534336 1048564465664 3
base:allocation 1048576000000 1048576 0
base:allocation 1048577048576 50934579200 3'

check() {
	rm -f disk.img
	truncate -s 1T disk.img
	dd if=part of=disk.img bs=1M seek=10 conv=notrunc status=none
	dd if=part of=disk.img bs=1M seek=1000000 conv=notrunc status=none
	serve_nbdkit file disk.img
	expect_facts 'size=1099511627776 blocks=1,4096,33554432 base:allocation' \
		--context base:allocation --context base:no-such --context x-other:thing "$uri"
	same_text "$expected" "$(client_io --context base:allocation "$uri" map)"
	same_text 'base:allocation 10000000 485760 3
base:allocation 10485760 1 0' "$(client_io --context base:allocation "$uri" 'map 10000000 485761')"
	same_text 'base:allocation 10485760 1048576 0' \
		"$(client_io --context base:allocation "$uri" 'map 10485760 99999999 one')"
	client_io "$uri" 'trim 10485760 524288' 'zero 11010048 262144'
	same_text 'base:allocation 10485760 786432 3
base:allocation 11272192 262144 0' \
		"$(client_io --context base:allocation "$uri" 'map 10485760 1048576')"
	same_text base:allocation "$(client_io "$uri" contexts)"
	expect_refusal 'no metadata context was selected' "$uri" map
	end_peer
	serve_nbdkit --no-sr file disk.img
	expect_refusal 'without structured replies' --context base:allocation "$uri" map
	end_peer
}

over_all_ways check
