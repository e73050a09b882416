#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbdcopy to the server and back, over several connections with many requests each.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image source.img 24

check() {
	rm -f disk.img
	truncate -s 24M disk.img
	serve disk=disk.img
	nbdcopy --connections=4 --requests=32 --flush source.img "$uri"
	cmp source.img disk.img
	nbdcopy --connections=4 --requests=32 "$uri" back.img
	cmp source.img back.img
	nbdcopy --connections=1 --request-size=4096 "$uri" back.img
	cmp source.img back.img
	nbdcopy --connections=2 --request-size=33554432 "$uri" back.img
	cmp source.img back.img
	end_server
}

over_all_ways check
