#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Data written through another opener and not synced is in the image after a detach.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
exec 5<"$device"
seq 1 1000000 | head -c 4194304 >data
cp data "$device"
expect_status 4 nbd-loop -d "$device"
expect_match "still in use" "$err"
exec 5<&-
cmp -n 4194304 data disk.img || fail "data are missing"
