#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the server announces for a writable file.
. "$(dirname "$0")/common.sh"
truncate -s 1M disk.img
serve disk=disk.img
for ability in flush fua zero multi-conn cache write; do
	nbdinfo --can "$ability" "$uri" || fail "cannot $ability"
done
for ability in df structured-reply; do
	expect_failure nbdinfo --can "$ability" "$uri"
done
nbdinfo --json "$uri" | tee info
grep -q '"block_size_maximum": 33554432' info
end_server
