#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two exports of one qemu-storage-daemon, one read-only with 4 KiB blocks, one to be written.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image one.img 8

check() {
	rm -f two.img
	truncate -s 16M two.img
	serve_storage_daemon \
		--blockdev driver=file,node-name=one,filename=one.img,read-only=on \
		--blockdev driver=file,node-name=two,filename=two.img,discard=unmap \
		--export type=nbd,id=e1,node-name=one,name=first \
		--export type=nbd,id=e2,node-name=two,name=second,writable=on
	first=$(uri_of first)
	second=$(uri_of second)
	expect_facts 'structured=1 extended=0 size=8388608' "$first"
	expect_facts 'size=16777216 blocks=1,4096,33554432 base:allocation' --context base:allocation "$second"
	same_text 'base:allocation 0 8388608 0' "$(client_io --context base:allocation "$first" map)"
	expect_refusal 'read-only' "$first" 'write 0 512 1'
	client_io "$second" 'write 1048576 2097152 7 fua' 'verify 1048576 2097152 7' 'verify 0 1048576 zero df' \
		flush 'cache 0 1048576'
	same_text 'base:allocation 0 1048576 3
base:allocation 1048576 2097152 0
base:allocation 3145728 13631488 3' "$(client_io --context base:allocation "$second" map)"
	client_io "$second" 'zero 1048576 1048576' 'trim 2097152 1048576' 'verify 1048576 1048576 zero'
	same_text 'base:allocation 0 16777216 3' "$(client_io --context base:allocation "$second" map)"
	expect_refusal "no export 'third'" "$(uri_of third)" facts
	end_peer
}

over_all_ways check
