#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-connect against Debian's nbd-server, over TCP and Unix, 1 and 4 connections, verified.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M

# Starts nbd-server with a line of configuration; URI tells when it serves. On a slow machine it
# sometimes answers nobody after its start: then once more.
serve() {
	local uri=$1
	printf '[generic]\n%s\n[disk]\nexportname = %s\nflush = true\nfua = true\n' \
		"$2" "$T/disk.img" >nbd.conf
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rm -f nbd.pid socket
		nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid"
		wait_for 20 test -s nbd.pid
		sleep 3
		nbd-list -q --timeout 5 "$uri" && return
		stop_server
	done
	fail "nbd-server never answers"
}

stop_server() {
	# One that answers nobody does not end at SIGTERM either, nor do its children.
	pkill -KILL -x nbd-server
	wait_for 20 test ! -e "/proc/$(<nbd.pid)"
}

port=$(unused_port)
serve "nbd://127.0.0.1:$port/disk" "listenaddr = 127.0.0.1
port = $port"
verify_export "nbd://127.0.0.1:$port/disk" -C 1
verify_export "nbd://127.0.0.1:$port/disk" -C 4
stop_server
# With a Unix socket it leaves TCP alone.
serve "nbd+unix:///disk?socket=$T/socket" "unixsock = $T/socket"
verify_export "nbd+unix:///disk?socket=$T/socket" -C 1
stop_server
