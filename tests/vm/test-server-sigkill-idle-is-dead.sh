#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The server killed while idle: nbd-list says dead, I/O fails at once, nbd-disconnect clears it.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
pid=$(nbd-list -n --raw -O PID "$device")
kill -KILL "$pid"
dead() { [[ $(nbd-list -n --raw -O STATE "$device") == dead ]]; }
wait_for 10 dead
timeout 60 dd if="$device" of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && fail "read"
expect_status 0 nbd-disconnect "$device"
[[ -z $(nbd-list -n) ]] || fail "still there"
