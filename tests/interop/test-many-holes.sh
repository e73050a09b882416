#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A file with 100,000 holes is mapped and read, in bounded memory.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
holes=100000
python3 -c "
with open('disk.img', 'wb') as file:
    for i in range($holes):
        file.seek(i * 8192 + 4096)
        file.write(b'd' * 4096)"
serve disk=disk.img
nbdinfo --map=base:allocation --json "$uri" >map
expect_json 'length, ([.[] | select(.type == 3) | .length] | add), ([.[] | select(.type == 0) | .length] | add)' \
	"$((2 * holes)) $((4096 * holes)) $((4096 * holes))" map
for wishes in --structured --extended; do
	client_io $wishes --context base:allocation "$uri" map >mapped
	awk '{ if ($2 != at || $3 != 4096 || $4 != (NR % 2 ? 3 : 0)) exit 1
		at += $3 } END { exit NR != '$((2 * holes))' }' mapped || fail "$(head mapped)"
done
nbdcopy --connections=4 "$uri" back.img
cmp disk.img back.img
peak=$(awk '/VmHWM/ { print $2 }' "/proc/$server/status")
echo "the server used $peak KiB"
limit=131072 # KiB; sanitizers keep what was freed
[[ ${BUILD##*/} == asan ]] && limit=1048576
((peak < limit)) || fail "the server used $peak KiB"
end_server
