#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server that dies under I/O: errors within the timeout and some; nbd-disconnect clears it.
# vm: timeout=180
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" memory 64M
server=$!
wait_for 20 test -S socket
device=$(nbd-connect -t 3 -u socket) || fail "connect"
kill -KILL $server
begin=$SECONDS
timeout 60 dd if="$device" of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && fail "read"
(( SECONDS - begin < 20 )) || fail "error only after $((SECONDS - begin)) s"
nbd-disconnect "$device"
[[ -z $(nbd-list -n) ]] || fail "still there"
