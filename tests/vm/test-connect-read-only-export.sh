#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A read-only export, and -R, make a read-only device.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -r -U "$T/socket" memory 4M
start_background nbdkit -f -U "$T/writable" memory 4M
wait_for 20 test -S socket -a -S writable
for arguments in "-u socket" "-R -u writable"; do
	# shellcheck disable=SC2086 # two words
	device=$(nbd-connect $arguments) || fail "connect"
	[[ $(blockdev --getro "$device") == 1 ]] || fail "$arguments: writable"
	expect_status 0 nbd-disconnect "$device"
done
