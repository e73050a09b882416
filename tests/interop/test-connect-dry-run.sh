#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-connect --dry-run says of every server what the kernel would get.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 3M disk.img

# found WORDS [OPTION]…: of the server, which ends then.
found() {
	local said
	said=$("$BUILD/bin/nbd-connect" --dry-run "${@:2}" "$uri")
	[[ $said == "$uri: $1"* ]] || fail "'$said', not '$1'"
	end_peer
}

for option in --no-sr --oldstyle --mask-handshake=0 --mask-handshake=1 --mask-handshake=2 --tls=off; do
	serve_nbdkit "$option" file disk.img
	found '3145728 bytes, blocks of 512, flags 0x'
done
serve_nbdkit -r file disk.img
found '3145728 bytes, blocks of 512, flags 0x' --read-only
serve_nbdkit --filter=blocksize-policy file disk.img blocksize-minimum=4096 \
	blocksize-preferred=4096 blocksize-maximum=1M
found '3145728 bytes, blocks of 4096, flags 0x' -C 2
serve_qemu_nbd -f raw --shared=4 disk.img
found '3145728 bytes, blocks of 512, flags 0x' -C 4
serve_storage_daemon --blockdev driver=file,node-name=disk,filename=disk.img \
	--export type=nbd,id=e,node-name=disk,name=disk,writable=on
uri=$(uri_of disk)
found '3145728 bytes, blocks of 512, flags 0x'
take_way plain
serve disk=disk.img
peer=$server
flags=0xd6d
! is_rotational disk.img || flags=0xd7d
found "3145728 bytes, blocks of 512, flags $flags" -C 4
