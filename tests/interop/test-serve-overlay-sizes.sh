#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An overlay on a sparse file of 2^40 bytes, and on one with 100,000 holes: mapped, zeroed, trimmed and read,
# in little time, memory and space.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

# mapped EXPECTED
mapped() {
	same_text "$1" "$(client_io --extended --context base:allocation "$uri" map)"
}

truncate -s 1T disk.img
random_image part 1
dd if=part of=disk.img bs=1M seek=1000000 conv=notrunc status=none
changed=$(stat -c %y disk.img)
nbd_serve --unix nbd.sock --overlay=changes disk.img
mapped 'base:allocation 0 1048576000000 3
base:allocation 1048576000000 1048576 0
base:allocation 1048577048576 50934579200 3'
qemu_io 'write -P 7 512G 1M' 'read -P 7 512G 1M' flush >/dev/null
mapped 'base:allocation 0 549755813888 3
base:allocation 549755813888 1048576 0
base:allocation 549756862464 498819137536 3
base:allocation 1048576000000 1048576 0
base:allocation 1048577048576 50934579200 3'
client_io --extended "$uri" 'zero 0 1099511627776' flush
mapped 'base:allocation 0 1099511627776 3'
client_io --extended "$uri" 'trim 0 1099511627776' flush
qemu_io 'write -P 8 1048575M 1M' >/dev/null
end_server
# The bitmap of 2 MiB, and what was written.
used=$(du -k changes | cut -f 1)
((used < 5 << 10)) || fail "the overlay takes $used KiB"
[[ $(stat -c %y disk.img) == "$changed" ]] || fail "the file was written"
nbd_serve --unix nbd.sock --overlay=changes disk.img
mapped 'base:allocation 0 1099510579200 3
base:allocation 1099510579200 1048576 0'
qemu_io 'read -P 8 1048575M 1M' 'read -P 0 1000000M 1M' >/dev/null
end_server

holes=100000
python3 -c "
with open('holes.img', 'wb') as file:
    for i in range($holes):
        file.seek(i * 8192 + 4096)
        file.write(b'd' * 4096)"
nbd_serve --unix nbd.sock --overlay holes.img
client_io --extended --context base:allocation "$uri" map >mapped
awk '{ if ($2 != at || $3 != 4096 || $4 != (NR % 2 ? 3 : 0)) exit 1
	at += $3 } END { exit NR != '$((2 * holes))' }' mapped || fail "$(head mapped)"
peak=$(awk '/VmHWM/ { print $2 }' "/proc/$server/status")
limit=65536 # KiB; sanitizers keep what was freed
[[ ${BUILD##*/} == asan ]] && limit=1048576
((peak < limit)) || fail "the server used $peak KiB"
end_server
