#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fio writes at random with many requests under way, and verifies what it reads.
. "$(dirname "$0")/common.sh"
truncate -s 16M disk.img
serve disk=disk.img
for size in 512 4k 64k 1M; do
	fio --name="verify-$size" --ioengine=nbd --uri="$uri" --rw=randwrite --bs="$size" \
		--iodepth=32 --size=16M --io_size=8M --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --randrepeat=0
done
end_server
