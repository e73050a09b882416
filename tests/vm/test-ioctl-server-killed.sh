#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# By ioctl, a killed server takes its device along.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M
device=$(nbd-loop --ioctl disk.img) || fail "attach"
pid=$(nbd-list -n --raw -O PID "$device")
kill -KILL "$pid"
free() { [[ ! -e /sys/block/${device#/dev/}/pid ]]; }
wait_for 60 free
