#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What nbdinfo can ask of the server for a writable file.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 1M disk.img
rotational=false
! is_rotational disk.img || rotational=true

check() {
	local ability
	serve disk=disk.img
	for ability in connect read flush fua zero multi-conn cache write trim fast-zero df; do
		nbdinfo --can "$ability" "$uri" || fail "cannot $ability"
	done
	nbdinfo --is structured-reply "$uri" || fail "no structured replies"
	expect_failure nbdinfo --is read-only "$uri"
	expect_json '.exports[0].is_rotational' "$rotational" <(nbdinfo --json "$uri")
	if [[ $way == plain ]]; then
		expect_failure nbdinfo --is tls "$uri"
	else
		nbdinfo --is tls "$uri" || fail "no TLS"
	fi
	nbdinfo --json "$uri" >info
	expect_json '.exports[0] | .block_size_minimum, .block_size_preferred, .block_size_maximum' \
		'1 4096 33554432' info
	expect_json '.exports[0] | .["export-size"], .contexts[]' '1048576 base:allocation' info
	expect_json '.structured' true info
	same_text 1048576 "$(nbdinfo --size "$uri")"
	end_server
}

over_all_ways check
