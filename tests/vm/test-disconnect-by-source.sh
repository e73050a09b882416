#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-disconnect takes the file or the URI instead of the device.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 1M
expect_status 0 nbd-loop disk.img
expect_status 0 nbd-disconnect ./disk.img
start_background nbdkit -f -U "$T/socket" memory 1M
wait_for 10 test -S "$T/socket"
expect_status 0 nbd-connect "nbd+unix:///?socket=$T/socket"
expect_status 0 nbd-disconnect "nbd+unix:///?socket=$T/socket"
expect_status 3 nbd-disconnect "nbd+unix:///?socket=$T/socket"
[[ -z $(nbd-list -n) ]] || fail "still attached"
