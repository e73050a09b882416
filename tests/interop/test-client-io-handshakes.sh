#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client reads and writes through every handshake, with and without structured replies.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
# Odd lengths and places, and more than is in flight at once.
check() {
	expect_facts "$1" "$uri"
	client_io "$uri" 'write 1000001 12000000 3' 'verify 1000001 12000000 3' 'write 5000000 100 9' \
		'verify 5000000 100 9' 'verify 1000001 3999999 3' 'verify 5000100 7999901 3' \
		'verify 0 1000001 zero'
	expect_refusal "inside the export" "$uri" 'verify 33554431 2 zero'
}

# nbdkit announces these to every client, but refuses them to oldstyle ones.
check_more() {
	check "$1"
	client_io "$uri" 'zero 2000000 4000000' 'verify 2000000 4000000 zero' \
		'zero 7000000 10000 fua no-hole' 'verify 7000000 10000 zero' 'trim 10000000 2000000 fua' \
		'verify 6000000 1000000 3' flush 'write 0 512 1 fua' 'cache 0 1000000'
}

check_fixed() {
	serve_nbdkit memory 32M
	check_more 'fixed-newstyle structured=1 extended=0 size=33554432'
	client_io "$uri" 'write 0 1000000 5' 'verify 0 1000000 5 df'
	end_peer
	serve_nbdkit --no-sr memory 32M
	check_more 'fixed-newstyle structured=0'
	expect_refusal "flags 0x4 of READ" "$uri" 'verify 0 512 zero df'
	end_peer
	# Without NBD_FLAG_NO_ZEROES.
	serve_nbdkit --mask-handshake=1 memory 32M
	check_more 'fixed-newstyle structured=1'
	end_peer
}

over_all_ways check_fixed

# TLS needs options, which only fixed newstyle has.
serve_nbdkit --oldstyle memory 32M
check 'oldstyle structured=0 extended=0 size=33554432'
expect_refusal "no name" "$(uri_of x)" facts
end_peer
for flags in 0 2; do
	serve_nbdkit --mask-handshake=$flags memory 32M
	check_more 'newstyle structured=0 extended=0 size=33554432'
	end_peer
done
