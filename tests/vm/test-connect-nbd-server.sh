#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-connect against Debian's nbd-server, over TCP and Unix, 1 and 4 connections, verified.
# vm: timeout=240
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M
port=$(unused_port)
# With a Unix socket nbd-server leaves TCP alone: one server for each.
serve() {
	printf '[generic]\n%s\n[disk]\nexportname = %s\nflush = true\nfua = true\n' \
		"$1" "$T/disk.img" >"$2.conf"
	nbd-server -C "$T/$2.conf" -p "$T/$2.pid"
}
serve "listenaddr = 127.0.0.1
port = $port" tcp
wait_for 20 nbd-list -q "nbd://127.0.0.1:$port/disk"
verify_export "nbd://127.0.0.1:$port/disk" -C 1
verify_export "nbd://127.0.0.1:$port/disk" -C 4
serve "unixsock = $T/socket" unix
wait_for 20 test -S socket
verify_export "nbd+unix:///disk?socket=$T/socket" -C 1
