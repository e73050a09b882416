#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image whose size is no multiple of anything is served to its last byte, by an overlay too.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
for size in 1 511 65537 1234567; do
	for options in --read-only --overlay; do
		head -c "$size" /dev/urandom >disk.img
		serve $options disk.img
		same_text "$size" "$(nbdinfo --size "$uri")"
		nbdcopy "$uri" back.img
		cmp disk.img back.img
		same_text "$size" "$("$BUILD/bin/nbd-list" --map --totals -J "$uri" | jq 'map(.size) | add')"
		end_server
	done
done

# Written, in the middle and at the end, and with a hole there.
serve disk.img
head -c 1234567 /dev/urandom >new.img
nbdcopy new.img "$uri"
cmp new.img disk.img
client_io "$uri" 'zero 1234000 567' 'trim 1234566 1' 'verify 1234000 567 zero'
cmp <(head -c 1234000 new.img && head -c 567 /dev/zero) disk.img
end_server
same_text 1234567 "$(stat -c %s disk.img)"
