#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-client's forms of HOST, PORT and NAME work, and what is ambiguous is a usage error.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 4M
port=$(unused_port)
start_background qemu-nbd -f raw -t -e 8 -b 127.0.0.1 -p "$port" -x disk disk.img
wait_for 20 nbd-list -q "nbd://127.0.0.1:$port"
expect_status 0 nbd-connect 127.0.0.1 "$port" /dev/nbd5 -N disk
expect_match '^/dev/nbd5$' "$out"
expect_status 0 nbd-disconnect nbd5
expect_status 0 nbd-connect "127.0.0.1:$port" -N disk
expect_status 0 nbd-disconnect "$out"
expect_status 2 nbd-connect 127.0.0.1 "$port"
expect_status 3 nbd-connect "127.0.0.1:$port" -N other
expect_status 0 nbd-connect --dry-run "nbd://127.0.0.1:$port/disk"
expect_match '4194304' "$out"
[[ -z $(nbd-list -n) ]] || fail "--dry-run attached"
