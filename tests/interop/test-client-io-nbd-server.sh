#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client against Debian's nbd-server.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 64M disk.img
cat >nbd.conf <<EOF
[generic]
unixsock = $socket
allowlist = true
[disk]
exportname = $PWD/disk.img
flush = true
fua = true
trim = true
EOF

# It becomes a daemon, in a session of its own; one that answers nobody is deaf to SIGTERM too.
stop_server() {
	kill -KILL "$(<nbd.pid)" 2>/dev/null || true
}
trap stop_server EXIT

uri="nbd+unix:///disk?socket=$socket"
# On a slow machine it sometimes answers nobody after its start: then once more.
for _ in {1..10}; do
	rm -f "$socket" nbd.pid
	nbd-server -C "$PWD/nbd.conf" -p "$PWD/nbd.pid"
	sleep 1
	timeout 3 "$BUILD/interop/client-io" "$uri" facts && break
	stop_server
done
expect_facts 'fixed-newstyle structured=0 extended=0 size=67108864' "$uri"
client_io "$uri" 'write 1000001 50000000 3' 'verify 1000001 50000000 3' flush 'write 0 512 9 fua' \
	'verify 0 512 9' 'trim 4194304 4194304' 'verify 8388608 1048576 3'
expect_refusal "no export 'other'" "${uri/disk/other}" facts
