#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fio writes at random with many requests of random sizes under way, and verifies what it reads.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

# fio lets libnbd read neither keys nor a folder with certificates, so the server cannot have any of it.
check() {
	rm -f disk.img
	truncate -s 16M disk.img
	[[ $way == plain ]] || with_tls=(--tls=require --tls-certificates="$tls/good")
	[[ $way == plain ]] || uri="nbds+unix:///?socket=$socket&tls-verify-peer=false"
	serve disk=disk.img
	for sizes in 512-512 512-64k 4k-1M; do
		fio --name="verify-$sizes" --ioengine=nbd --uri="$uri" --rw=randwrite --bsrange="$sizes" \
			--bs_unaligned=1 --iodepth=32 --size=16M --io_size=4M --verify=crc32c \
			--verify_fatal=1 --do_verify=1 --randrepeat=0
	done
	end_server
}

over_ways check plain x509
