#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --wait attaches once the server is there; a signal ends it and leaves neither device nor process.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
uri="nbd+unix:///?socket=$T/socket"

# Starts waiting; its process is $waiting.
start_waiting() {
	: >err
	nbd-connect --wait=100 "$@" "$uri" >out 2>err &
	waiting=$!
	wait_for 20 grep -q 'trying again for 100 s' err
}
no_process() { ! pgrep -x nbd-connect; }

for signal in TERM HUP; do
	for option in --read-only --ioctl --foreground; do
		start_waiting $option
		kill -$signal $waiting
		wait $waiting && fail "$signal $option: success"
		wait_for 10 no_process
	done
done
[[ ! -e /sys/block/nbd0/pid && ! -s out ]] || fail "a device is there"

for option in --read-only --ioctl; do
	start_waiting $option
	rm -f socket
	nbdkit -f -U "$T/socket" memory 4M &
	server=$!
	wait $waiting || fail "$option: status $?: $(<err)"
	[[ $(grep -c . err) == 1 ]] || fail "said more: $(<err)"
	expect_status 0 nbd-disconnect "$(<out)"
	kill $server
	wait $server
	rm -f socket
done
