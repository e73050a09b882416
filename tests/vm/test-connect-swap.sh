#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --swap: a device to swap on; where it needs a process, that one never waits for memory.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
for option in --quiet --ioctl; do
	rm -f socket
	nbdkit -f -U "$T/socket" memory 16M &
	server=$!
	wait_for 20 test -S socket
	device=$(nbd-connect --swap $option -u socket) || fail "attach"
	mkswap "$device" >/dev/null || fail "mkswap"
	swapon "$device" || fail "swapon"
	expect_status 4 nbd-disconnect "$device"
	swapoff "$device" || fail "swapoff"
	if [[ $option == --ioctl ]]; then
		pid=$(nbd-list -n --raw -O PID "$device")
		[[ $(<"/proc/$pid/oom_score_adj") == -1000 ]] || fail "the OOM killer may take it"
		locked=$(awk '$1 == "VmLck:" { print $2 }' "/proc/$pid/status")
		((locked > 1024)) || fail "only $locked kB locked"
	fi
	expect_status 0 nbd-disconnect "$device"
	kill $server
	wait $server
done
