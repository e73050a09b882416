#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client against Debian's nbd-server, which has certificates, but neither pre-shared keys nor, since 3.10,
# the oldstyle handshake.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 64M disk.img

# It becomes a daemon, in a session of its own; one that answers nobody is deaf to SIGTERM too.
stop_server() {
	[[ ! -e nbd.pid ]] || kill -KILL "$(<nbd.pid)" 2>/dev/null || true
}
trap stop_server EXIT

# start_server URI: on a slow machine it sometimes answers nobody after its start: then once more.
start_server() {
	for _ in {1..10}; do
		rm -f "$socket" nbd.pid
		nbd-server -C "$PWD/nbd.conf" -p "$PWD/nbd.pid"
		for _ in {1..40}; do
			[[ -S $socket && -s nbd.pid ]] && break
			sleep 0.05
		done
		timeout 3 "$BUILD/interop/client-io" "$1" facts && return
		stop_server
	done
	fail "nbd-server does not answer"
}

check() {
	local forced=''
	[[ $way == plain ]] || forced="certfile = $tls/good/server-cert.pem
keyfile = $tls/good/server-key.pem
cacertfile = $tls/good/ca-cert.pem
force_tls = true"
	cat >nbd.conf <<-EOF
		[generic]
		unixsock = $socket
		allowlist = true
		$forced
		[disk]
		exportname = $PWD/disk.img
		flush = true
		fua = true
		trim = true
		[read only]
		exportname = $PWD/disk.img
		readonly = true
	EOF
	uri=$(uri_of disk)
	start_server "$uri"
	expect_facts 'fixed-newstyle structured=0 extended=0 size=67108864' "$uri"
	client_io "$uri" 'write 1000001 50000000 3' 'verify 1000001 50000000 3' flush 'write 0 512 9 fua' \
		'verify 0 512 9' 'trim 4194304 4194304' 'verify 8388608 1048576 3'
	client_io "$(uri_of read%20only)" 'verify 8388608 1048576 3'
	expect_refusal read-only "$(uri_of read%20only)" 'write 0 512 1'
	expect_refusal "no export 'other'" "$(uri_of other)" facts
	[[ $way == plain ]] || expect_refusal "requires TLS" "nbd+unix:///disk?socket=$socket" facts
	same_text 'disk,read only' "$("$BUILD/bin/nbd-list" --json "$(uri_of "")" |
		jq -r '[.exports[]."export-name"] | join(",")')"
	stop_server
}

over_ways check plain x509
