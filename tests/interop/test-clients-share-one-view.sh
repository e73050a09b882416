#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What one client has written, another one reads, flushed or not.
. "$(dirname "$0")/common.sh"
truncate -s 4M disk.img
serve disk=disk.img
qemu-io -f raw -c 'write -P 0x66 0 1M' -c 'sleep 60000' "$uri" >writer &
for ((tries = 0; tries < 200; tries++)); do
	grep -q wrote writer && break
	cmp -s -n 1048576 disk.img <(head -c 1048576 /dev/zero | tr '\0' f) && break
	sleep 0.05
done
qemu_io 'read -P 0x66 0 1M'
end_server
