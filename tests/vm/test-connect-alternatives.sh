#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The first address that works is attached, and known as the source.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" memory 4M
wait_for 20 test -S socket
good="nbd+unix:///?socket=$T/socket"
expect_status 0 nbd-connect "nbd://127.0.0.1:$(unused_port)/x" "$good" "nbd+unix:///y?socket=$T/no" nbd4
[[ $out == /dev/nbd4 ]] || fail "out: $out"
expect_match 'Connection refused; trying the next address' "$err"
expect_status 0 nbd-list -n --raw -O SOURCE nbd4
[[ $out == "$good" ]] || fail "source: $out"
expect_status 0 nbd-disconnect "$good"
expect_status 1 nbd-connect "nbd+unix:///?socket=$T/no" "nbd+unix:///?socket=$T/none"
expect_match "^nbd-connect: cannot connect to $T/none: No such file" "$err"
[[ -z $(nbd-list -n) ]] || fail "something is attached"
