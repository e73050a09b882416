#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client writes the same image through qemu-nbd, nbdkit and our own server; what of TLS a server asks for is
# told where it is lacking.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
plain=$uri

write_image() {
	client_io "$uri" 'write 4096 8000001 3' 'verify 4096 8000001 3' 'write 1000000 3000000 4 fua' \
		'zero 2000000 1000000' 'trim 8M 4M' 'write 12345678 2M 5' 'verify 2000000 1000000 zero' flush
}

# same_image: what the first server made is what all have to make.
same_image() {
	[[ -e expected.img ]] || cp disk.img expected.img
	cmp expected.img disk.img
}

new_image() {
	rm -f disk.img
	truncate -s 16M disk.img
}

check() {
	new_image
	serve_nbdkit file disk.img
	write_image
	end_peer
	same_image
	new_image
	serve disk=disk.img
	write_image
	end_server
	same_image
	new_image
	serve_qemu_nbd -f raw disk.img
	expect_facts "fixed-newstyle structured=1 extended=0 size=16777216" "$uri"
	write_image
	[[ $way == plain ]] || expect_refusal "requires TLS" "$plain" facts
	[[ $way != x509 ]] || expect_refusal "TLS" "${uri/good/ca-only}" facts
	[[ $way != psk ]] || expect_refusal "for this user the same" "${uri/keys.psk/wrong.psk}" facts
	end_peer
	same_image
}

over_all_ways check
