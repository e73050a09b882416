#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list --map of an image with 100,000 holes, and of one of 2^40 bytes without data, in little memory.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
list=$BUILD/bin/nbd-list
holes=100000
python3 -c "
with open('disk.img', 'wb') as file:
    for i in range($holes):
        file.seek(i * 8192)
        file.write(b'data' * 1024)
    file.truncate($holes * 8192)"
truncate -s 1T empty.img

# in_little_memory COMMAND…: 64 MiB at most, which leaves room for sanitizers.
in_little_memory() {
	python3 -c '
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
sys.exit(status or (used > 64 and f"{used} MiB of memory"))' "$@"
}

check_maps() {
	in_little_memory "$list" --map "$1" >mapped
	same_text $((2 * holes)) "$(wc -l <mapped)"
	awk '{ if ($1 != at || $2 != 4096 || $3 != (NR % 2 ? 0 : 3)) exit 1
		at += $2 }' mapped || fail "$(head mapped)"
	in_little_memory "$list" --map --json "$1" >mapped.json
	same_text "$((2 * holes)) $((holes * 8192))" \
		"$(jq -r '"\(length) \(map(.length) | add)"' mapped.json)"
	same_text "409600000 50.0% 0 data,409600000 50.0% 3 hole,zero," \
		"$(in_little_memory "$list" --map --totals "$1" | awk -v ORS=, '{ $1 = $1; print }')"
}

serve_by nbdkit -f -U "$socket" file disk.img
check_maps "$uri"
end_peer
serve disk=disk.img empty=empty.img
check_maps "nbd+unix:///disk?socket=$socket"
same_text '0 1099511627776 3 hole,zero' \
	"$(in_little_memory "$list" --map "nbd+unix:///empty?socket=$socket" | awk '{ $1 = $1; print }')"
end_server
serve_by nbdkit -f -U "$socket" file empty.img
same_text '1099511627776 100.0% 3 hole,zero' \
	"$(in_little_memory "$list" --map --totals "$uri" | awk '{ $1 = $1; print }')"
end_peer
