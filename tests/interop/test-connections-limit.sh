#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients over the limit are told so; once another has gone, they are let in.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 1M disk.img

check() {
	local first tries
	serve --max-connections=1 disk=disk.img
	rm -f first
	stdbuf -oL qemu-io "${qemu_client[@]}" -c 'read 0 512' -c 'sleep 60000' --image-opts "$qemu_image" >first &
	first=$!
	for ((tries = 0; tries < 200; tries++)); do
		grep -qs "bytes at offset" first && break
		sleep 0.05
	done
	expect_refusal 'no more than 1 client' "$uri" facts
	expect_failure nbdinfo "$uri"
	kill "$first"
	wait "$first" || true
	for ((tries = 0; tries < 200; tries++)); do
		client_io "$uri" facts && break
		sleep 0.05
	done
	((tries < 200)) || fail "the second client is not let in"
	end_server
}

over_all_ways check
