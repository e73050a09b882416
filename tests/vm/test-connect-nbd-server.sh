#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-connect against Debian's nbd-server, over TCP and Unix, 1 and 4 connections, verified.
# vm: timeout=240
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M
write_config() {
	printf '[generic]\n%s\n[disk]\nexportname = %s\nflush = true\nfua = true\n' \
		"$2" "$T/disk.img" >"$1"
}

port=$(unused_port)
write_config tcp.conf "listenaddr = 127.0.0.1
port = $port"
nbd-server -C "$T/tcp.conf" -p "$T/tcp.pid"
wait_for 20 test -s tcp.pid
server=$(cat tcp.pid)
# Who comes between its listening and its main loop is never answered, nor is anybody later.
wait_for 20 grep -q select "/proc/$server/stack"
verify_export "nbd://127.0.0.1:$port/disk" -C 1
verify_export "nbd://127.0.0.1:$port/disk" -C 4
kill "$server"

# With a Unix socket it leaves TCP alone, and serves one client without forking (-d).
write_config unix.conf "unixsock = $T/socket"
start_background nbd-server -d -C "$T/unix.conf"
wait_for 20 test -S socket
sleep 3
verify_export "nbd+unix:///disk?socket=$T/socket" -C 1
