#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client against the library's own server, with simple, structured and extended messages.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

check() {
	local wishes
	rm -f disk.img
	truncate -s 1T disk.img
	serve disk=disk.img
	for wishes in --plain --structured --extended; do
		client_io $wishes "$uri" 'write 4096 30000000 3' 'verify 4096 30000000 3' flush \
			'zero 1000000 1000000' 'verify 1000000 1000000 zero' 'verify 2000000 1000000 3' \
			'write 900G 1M 4 fua' 'verify 900G 1M 4' 'cache 0 1M'
		if [[ $wishes != --plain ]]; then
			expect_refusal "other data at offset 4096" $wishes "$uri" 'verify 0 3M zero df'
			client_io $wishes "$uri" 'verify 2000000 1M 3 df'
			same_text 'base:allocation 0 4096 3
base:allocation 4096 999424 0
base:allocation 1003520 995328 3
base:allocation 1998848 28008448 0
base:allocation 30007296 966337634304 3
base:allocation 966367641600 1048576 0
base:allocation 966368690176 133142937600 3' \
				"$(client_io $wishes --context base:allocation "$uri" map)"
			same_text 'base:allocation 0 4096 3' \
				"$(client_io $wishes --context base:allocation "$uri" 'map 0 1T one')"
			same_text base:allocation "$(client_io $wishes "$uri" contexts)"
		fi
		client_io $wishes "$uri" 'trim 0 1T' 'zero 0 1T' 'verify 0 30000000 zero'
	done
	expect_facts 'structured=1 extended=0' --structured "$uri"
	expect_facts 'structured=1 extended=1 size=1099511627776' --extended "$uri"
	end_server
	serve --read-only disk=disk.img
	expect_refusal read-only "$uri" 'write 0 512 1'
	expect_refusal 'no export' "$(uri_of x)" facts
	end_server
}

over_all_ways check
