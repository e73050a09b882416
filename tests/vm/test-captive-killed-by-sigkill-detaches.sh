#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# When nbd-loop itself is killed, its server detaches the device.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 8M
nbd-loop disk.img -- sleep 100 &
pid=$!
wait_for 20 pidof sleep
kill -KILL $pid
detached() { [[ -z $(nbd-list -n) ]]; }
wait_for 20 detached
pkill -x sleep
