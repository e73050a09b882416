#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client against servers that are slow, that have had enough clients, and whose exports have names only.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
list=$BUILD/bin/nbd-list

# status_of COMMAND…
status_of() {
	local status=0
	"$@" >said 2>&1 || status=$?
	echo $status
}

check() {
	local begin took first
	# 64 requests of 256 KiB, which would take 12.8 seconds one after the other.
	serve_nbdkit --filter=delay memory 8M delay-read=200ms delay-write=200ms
	begin=$(date +%s%N)
	client_io "$uri" 'write 0 8M 3' 'verify 0 8M 3'
	took=$((($(date +%s%N) - begin) / 1000000))
	((took < 8000)) || fail "requests wait for each other: $took ms"
	end_peer

	serve_nbdkit --filter=delay memory 8M delay-open=20
	same_text 7 "$(status_of "$list" --timeout=1 --size "$uri")"
	end_peer

	serve_nbdkit --filter=limit memory 1M limit=1
	rm -f first
	stdbuf -oL qemu-io "${qemu_client[@]}" -c 'read 0 512' -c 'sleep 60000' --image-opts "$qemu_image" >first &
	first=$!
	for _ in {1..200}; do
		grep -qs "bytes at offset" first && break
		sleep 0.05
	done
	expect_refusal 'or refuses this client' "$uri" facts
	kill "$first"
	wait "$first" || true
	end_peer

	serve_nbdkit --filter=exportname memory 1M default-export=b exportname=a exportname=b \
		exportname-list=explicit exportname-strict=true exportdesc=fixed:described
	"$list" --json "$uri" >exports
	expect_json '.exports[] | ."export-name", .description' 'a described b described' exports
	expect_facts 'size=1048576' "$(uri_of a)"
	expect_refusal 'has no default export' "$uri" facts
	expect_refusal "no export 'c'" "$(uri_of c)" facts
	end_peer
}

over_all_ways check
