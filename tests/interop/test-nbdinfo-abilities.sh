#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the server announces for a writable file.
. "$(dirname "$0")/common.sh"
truncate -s 1M disk.img
serve disk=disk.img
for ability in flush fua zero multi-conn cache write trim fast-zero df; do
	nbdinfo --can "$ability" "$uri" || fail "cannot $ability"
done
nbdinfo --is structured-reply "$uri" || nbdinfo --can structured-reply "$uri" || fail "no structured replies"
for property in read-only rotational tls; do
	expect_failure nbdinfo --is "$property" "$uri"
done
nbdinfo --json "$uri" >info
expect_json '.exports[0] | .["block_size_minimum"], .["block_size_preferred"], .["block_size_maximum"]' \
	'1 4096 33554432' info
expect_json '.exports[0] | .["export-size"], .contexts[]' '1048576 base:allocation' info
expect_json '.structured' true info
end_server
