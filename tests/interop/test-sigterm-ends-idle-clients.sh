#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server with idle clients ends at once, and what they wrote is there.
. "$(dirname "$0")/common.sh"
truncate -s 4M disk.img
serve disk=disk.img
for ((i = 0; i < 5; i++)); do
	qemu-io -f raw -c "write -P $((i + 1)) $((i * 4))k 4k" -c 'sleep 60000' "$uri" >"client$i" &
done
for ((i = 0; i < 5; i++)); do
	for ((tries = 0; tries < 200; tries++)); do
		cmp -s -n 4096 -i "$((i * 4096)):0" disk.img \
			<(head -c 4096 /dev/zero | tr '\0' "\\$((i + 1))") && break
		sleep 0.05
	done
	((tries < 200)) || fail "client $i did not write"
done
begin=$(date +%s%N)
end_server
took=$((($(date +%s%N) - begin) / 1000000))
((took < 2000)) || fail "it took $took ms"
