#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files that cannot be attached as they are: each has its own clear answer.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
expect_status 1 nbd-loop missing.img
expect_match 'missing.img.*No such file' "$err"
mkdir folder
expect_status 1 nbd-loop folder
expect_match 'folder.*director' "$err"
: >empty.img
expect_status 1 nbd-loop empty.img
expect_match 'empty.img.*empty' "$err"
mkfifo pipe
expect_status 1 nbd-loop pipe
[[ -z $out ]] || fail "printed $out"
head -c 1000 /dev/urandom >odd.img
expect_status 0 nbd-loop odd.img
expect_match '488 bytes' "$err"
[[ $(blockdev --getsize64 "$out") == 512 ]] || fail "size of $out"
cmp -n 512 odd.img "$out" || fail "content"
expect_status 0 nbd-loop -d "$out"
