#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM to nbd-loop reaches the command; the device goes with it.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 8M
nbd-loop disk.img -- sleep 100 &
pid=$!
wait_for 20 pidof sleep
kill -TERM $pid
wait $pid
[[ $? == 143 ]] || fail "status"
[[ -z $(nbd-list -n) ]] || fail "still attached"
