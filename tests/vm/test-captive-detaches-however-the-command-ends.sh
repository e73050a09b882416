#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-loop FILE -- COMMAND leaves nothing attached when the command succeeds, fails, is killed,
# or cannot be run, and its status is the command's.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 8M
nothing_attached() {
	[[ -z $(nbd-list -n) ]] || fail "still attached: $(nbd-list)"
}
# shellcheck disable=SC2016 # the inner shell expands it
expect_status 0 nbd-loop disk.img -- sh -c 'test -b $NBD_DEVICE && mkfs.ext4 -q $NBD_DEVICE'
[[ -z $out ]] || fail "something was printed: $out"
nothing_attached
expect_status 7 nbd-loop disk.img -- sh -c 'exit 7'
nothing_attached
# shellcheck disable=SC2016
expect_status 137 nbd-loop disk.img -- sh -c 'kill -9 $$'
nothing_attached
expect_status 127 nbd-loop disk.img -- no-such-command
nothing_attached
expect_status 125 nbd-loop missing.img -- true
# An option of the command is the command's.
expect_status 0 nbd-loop disk.img -- ls -d --color=never /
nothing_attached
