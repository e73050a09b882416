#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve --overlay: the file stays as it is; what was written is there until the end, or in an overlay's
# file also the next time.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image disk.img 4
cp disk.img before.img
chmod 444 disk.img

write_and_look() {
	qemu_io 'write -P 17 64k 192k' 'read -P 17 64k 192k' 'write -z 1M 64k' flush 'read -P 0 1M 64k' >/dev/null
	nbdcopy "$uri" "$1"
	cmp before.img disk.img
	cp before.img expected.img
	qemu-io -f raw -c 'write -P 17 64k 192k' -c 'write -P 0 1M 64k' expected.img >/dev/null
	cmp "$1" expected.img
}

nbd_serve --unix nbd.sock --overlay disk.img
write_and_look copy.img
end_server
nbd_serve --unix nbd.sock --overlay disk.img
nbdcopy "$uri" copy.img
cmp before.img copy.img
end_server

nbd_serve --unix nbd.sock --overlay=kept disk.img
write_and_look copy.img
refuses 4 kept --unix other.sock --overlay=kept disk.img
end_server
nbd_serve --unix nbd.sock --overlay=kept disk.img
nbdcopy "$uri" again.img
cmp copy.img again.img
end_server
cmp before.img disk.img
truncate -s 1M small.img
refuses 1 kept --unix nbd.sock --overlay=kept small.img

# In memory, each export has its own.
nbd_serve --unix nbd.sock --overlay a=disk.img b=disk.img
qemu-io -f raw -c 'write -P 1 0 64k' "nbd+unix:///a?socket=$socket" >/dev/null
nbdcopy "nbd+unix:///b?socket=$socket" copy.img
cmp before.img copy.img
end_server
