#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What nbd-connect says when there is no such export, no server, a web server, or something else.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 1M
port=$(unused_port)
start_background qemu-nbd -f raw -t -b 127.0.0.1 -p "$port" -x known disk.img
wait_for 10 nbd-list -q "nbd://127.0.0.1:$port/known"
expect_status 3 nbd-connect "nbd://127.0.0.1:$port/unknown"
expect_match 'unknown' "$err"
free_port=$(unused_port)
expect_status 6 nbd-connect "nbd://127.0.0.1:$free_port"
expect_match 'refused' "$err"
web_port=$(unused_port)
start_background python3 -m http.server --bind 127.0.0.1 "$web_port"
listening() { (exec 5<>"/dev/tcp/127.0.0.1/$web_port") 2>/dev/null; }
wait_for 20 listening
expect_status 7 nbd-connect --connect-timeout 2 "nbd://127.0.0.1:$web_port"
expect_match 'NBD' "$err"
ssh_port=$(unused_port)
start_background socat "TCP-LISTEN:$ssh_port,bind=127.0.0.1,fork,reuseaddr" SYSTEM:'echo SSH-2.0-x'
ssh_listening() { (exec 5<>"/dev/tcp/127.0.0.1/$ssh_port") 2>/dev/null; }
wait_for 20 ssh_listening
expect_status 1 nbd-connect --connect-timeout 2 "nbd://127.0.0.1:$ssh_port"
expect_match 'not an NBD server' "$err"
expect_status 1 nbd-connect -u "$T/no-such-socket"
expect_match 'no-such-socket' "$err"
[[ -z $(nbd-list -n) ]] || fail "something is attached"
