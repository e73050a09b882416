#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A device that is only open: nbd-list says so; attaching to it explicitly says busy; the kernel's
# choice of a device is not disturbed.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 1M
exec 5</dev/nbd3
expect_status 0 nbd-list -n -O DEVICE,STATE
expect_match '/dev/nbd3 +open' "$out"
expect_status 4 nbd-loop disk.img /dev/nbd3
expect_match 'nbd3.*open' "$err"
expect_status 0 nbd-loop disk.img
expect_status 0 nbd-loop -d "$out"
exec 5<&-
expect_status 0 nbd-loop disk.img /dev/nbd3
expect_match '^/dev/nbd3$' "$out"
expect_status 5 nbd-loop -r disk.img /dev/nbd3
expect_status 0 nbd-loop -d nbd3
