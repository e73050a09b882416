#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Without privileges: listing works, attaching says that it is not permitted.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 1M
chmod 755 "$T"
chmod 666 disk.img
expect_status 8 as_nobody nbd-loop disk.img
expect_match 'root|ermi' "$err"
expect_status 0 as_nobody nbd-list
start_background nbdkit -f -p 10809 -i 127.0.0.1 memory 1M
wait_for 10 nbd-list -q nbd://127.0.0.1
expect_status 8 as_nobody nbd-connect nbd://127.0.0.1
expect_status 0 as_nobody nbd-list nbd://127.0.0.1
device=$(nbd-loop disk.img) || fail "attach"
expect_status 0 as_nobody nbd-list -n -O DEVICE,STATE
expect_match "$device +connected" "$out"
expect_status 8 as_nobody nbd-disconnect "$device"
expect_status 0 nbd-loop -d "$device"
