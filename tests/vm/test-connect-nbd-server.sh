#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-connect against Debian's nbd-server, over TCP and Unix, 1 and 4 connections, verified.
# vm: timeout=240
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M
port=$(unused_port)
printf '[generic]\nlistenaddr = 127.0.0.1\nport = %s\nunixsock = %s\n[disk]\nexportname = %s\nflush = true\nfua = true\n' \
	"$port" "$T/socket" "$T/disk.img" >nbd.conf
start_background nbd-server -d -C "$T/nbd.conf"
wait_for 20 nbd-list -q "nbd://127.0.0.1:$port/disk"
verify_export "nbd://127.0.0.1:$port/disk" -C 1
verify_export "nbd://127.0.0.1:$port/disk" -C 4
wait_for 20 test -S socket
verify_export "nbd+unix:///disk?socket=$T/socket" -C 1
