#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A sparse file of 2^40 bytes is served, mapped, read ahead, zeroed and trimmed.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image part 1
expected='base:allocation 0 10485760 3
base:allocation 10485760 1048576 0
base:allocation 11534336 1048564465664 3
base:allocation 1048576000000 1048576 0
base:allocation 1048577048576 50934579200 3'

check() {
	local wishes used
	rm -f disk.img
	truncate -s 1T disk.img
	dd if=part of=disk.img bs=1M seek=10 conv=notrunc status=none
	dd if=part of=disk.img bs=1M seek=1000000 conv=notrunc status=none
	serve disk=disk.img
	for wishes in --structured --extended; do
		same_text "$expected" "$(client_io $wishes --context base:allocation "$uri" map)"
	done
	expect_json '[.[] | "\(.offset) \(.length) \(.type)"] | join(" ")' \
		'0 10485760 3 10485760 1048576 0 11534336 1048564465664 3 1048576000000 1048576 0 1048577048576 50934579200 3' \
		<(nbdinfo --map=base:allocation --json "$uri")
	client_io --extended "$uri" 'cache 0 1099511627776'
	client_io --extended "$uri" 'zero 11534336 1099500093440'
	same_text 'base:allocation 0 10485760 3
base:allocation 10485760 1048576 0
base:allocation 11534336 1099500093440 3' \
		"$(client_io --extended --context base:allocation "$uri" map)"
	client_io --extended "$uri" 'trim 0 1099511627776'
	same_text 'base:allocation 0 1099511627776 3' \
		"$(client_io --extended --context base:allocation "$uri" map)"
	used=$(du -k disk.img | cut -f 1)
	((used < 1024)) || fail "$used KiB are allocated"
	qemu_io 'read -P 0 1023G 1M' 'write -P 7 1048575M 1M' 'read -P 7 1048575M 1M'
	end_server
}

over_all_ways check
