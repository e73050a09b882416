#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reads, writes and flushes mixed, of sizes that change, over two connections.
. "$(dirname "$0")/common.sh"
truncate -s 32M disk.img
serve disk=disk.img
fio --name=mixed --ioengine=nbd --uri="$uri" --rw=randrw --bsrange=512-256k \
	--bs_unaligned=1 --iodepth=64 --size=16M --offset_increment=16M --numjobs=2 \
	--fsync=32 --verify=crc32c --verify_fatal=1
end_server
