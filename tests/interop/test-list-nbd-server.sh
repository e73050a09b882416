#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list asks Debian's nbd-server, which tells nbdinfo a size of 0 for everything.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
list=$BUILD/bin/nbd-list
truncate -s 64M disk.img
truncate -s 1M two.img
cat >nbd.conf <<EOF
[generic]
unixsock = $socket
allowlist = true
[disk]
exportname = $PWD/disk.img
flush = true
fua = true
trim = true
[two]
exportname = $PWD/two.img
readonly = true
rotational = true
EOF

# It becomes a daemon, in a session of its own; one that answers nobody is deaf to SIGTERM too.
stop_server() {
	kill -KILL "$(<nbd.pid)" 2>/dev/null || true
}
trap stop_server EXIT

# On a slow machine it sometimes answers nobody after its start: then once more.
for _ in {1..10}; do
	rm -f "$socket" nbd.pid
	nbd-server -C "$PWD/nbd.conf" -p "$PWD/nbd.pid"
	sleep 1
	timeout 3 "$list" "$uri" >/dev/null && break
	stop_server
done

known='del(.extended) | .exports |= map(del(."export-size", ."export-size-str", .contexts))'
nbdinfo --list --json "$uri" | jq -S "$known" >theirs
"$list" -J "$uri" >ours
jq -S "$known" ours | diff theirs - || fail "nbdinfo and nbd-list differ"
expect_json '.structured, (.exports[] | ."export-size", .contexts)' 'false 67108864 [] 1048576 []' ours
same_text 1048576 "$("$list" --size -u "$socket" -N two)"
"$list" --is=rotational -u "$socket" -N two
expect_failure "$list" --can=write -u "$socket" -N two
if "$list" -u "$socket" -N three >out; then
	fail "there is no export 'three'"
fi
grep -q "no export 'three'" out
