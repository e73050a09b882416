#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every kind of write that qemu-io has, read back and verified; the image becomes what the same writes make of
# one without a server.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

write_all() {
	qemu_io 'write -P 0x11 0 1M' 'read -P 0x11 0 1M' 'flush'
	qemu_io 'write -f -P 0x22 4k 8k' 'read -P 0x22 4k 8k' 'read -P 0x11 0 4k' 'read -P 0x11 12k 4k' \
		'write -z 64k 64k' 'read -P 0 64k 64k' 'read -P 0x11 128k 4k' \
		'write -z -u 256k 64k' 'read -P 0 256k 64k' 'read -P 0x11 320k 4k' \
		'write -z -f 512k 512' 'read -P 0 512k 512' 'read -P 0x11 525312 512' \
		'discard 768k 64k' 'read -P 0x11 832k 64k'
	qemu_io 'write -P 0x33 12345 6789' 'read -P 0x33 12345 6789' 'read -P 0x11 32k 512' \
		'aio_write -P 0x44 2M 1M' 'aio_write -P 0x55 3M 1M' 'aio_flush' \
		'read -P 0x44 2M 1M' 'read -P 0x55 3M 1M'
}

truncate -s 16M expected.img
qemu_image=driver=raw,file.driver=file,file.filename=expected.img,discard=unmap write_all

check() {
	rm -f disk.img
	truncate -s 16M disk.img
	serve disk=disk.img
	write_all
	end_server
	cmp expected.img disk.img
}

over_all_ways check
