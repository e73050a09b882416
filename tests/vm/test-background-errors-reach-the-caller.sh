#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What fails after the fork is the command's own failure: nothing on stdout, a true status.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 4M
expect_status 0 nbd-loop disk.img nbd2
expect_status 4 nbd-loop disk.img nbd3
[[ -z $out ]] || fail "printed $out"
expect_match 'disk.img' "$err"
expect_status 5 nbd-loop --force disk.img nbd2
[[ -z $out ]] || fail "printed $out"
expect_status 0 nbd-loop -d ./disk.img
