#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A device that another program attached is listed as foreign, left alone by -a, and can be
# disconnected by name.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 4M
qemu-nbd -f raw -c /dev/nbd6 disk.img
wait_for 10 test -e /sys/block/nbd6/pid
expect_status 0 nbd-list -n --raw -O STATE,KIND /dev/nbd6
expect_match '^connected foreign' "$out"
expect_status 0 nbd-disconnect -a
[[ -e /sys/block/nbd6/pid ]] || fail "-a disconnected a foreign device"
expect_status 0 nbd-disconnect /dev/nbd6
[[ ! -e /sys/block/nbd6/pid ]] || fail "still connected"
