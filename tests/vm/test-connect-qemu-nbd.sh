#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-connect against qemu-nbd, over TCP and Unix, 1 and 4 connections, verified.
# vm: timeout=240
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M
port=$(unused_port)
start_background qemu-nbd -f raw -t -e 8 -b 127.0.0.1 -p "$port" -x disk disk.img
wait_for 20 nbd-list -q "nbd://127.0.0.1:$port"
verify_export "nbd://127.0.0.1:$port/disk" -C 1
verify_export "nbd://127.0.0.1:$port/disk" -C 4
make_image disk2.img 32M
start_background qemu-nbd -f raw -t -e 8 -k "$T/socket" disk2.img
wait_for 20 test -S socket
verify_export "nbd+unix:///?socket=$T/socket" -C 4
