#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# DEV=$(nbd-loop FILE) returns although the server stays, with both outputs captured as well.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 8M
device=$(timeout 60 nbd-loop disk.img 2>&1) || fail "did not return"
expect_match '^/dev/nbd[0-9]+$' "$device"
expect_status 0 nbd-loop -d "$device"
