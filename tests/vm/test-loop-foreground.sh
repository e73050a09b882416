#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --foreground prints the device, serves until SIGTERM, and removes its pid file.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 4M
nbd-loop --foreground --pid-file here.pid disk.img >device &
pid=$!
wait_for 20 test -s device
wait_for 20 test -s here.pid
[[ $(<here.pid) == "$pid" ]] || fail "pid file"
dd if="$(<device)" of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null || fail "read"
kill -TERM $pid
wait $pid || fail "status $?"
[[ ! -e here.pid ]] || fail "pid file left"
