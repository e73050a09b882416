#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A signal while a new device is not usable yet: it is detached, and nbd-connect ends by that signal.
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" memory 4M
wait_for 20 test -S socket

for signal in TERM INT; do
	udevadm control --stop-exec-queue
	# In the background a shell has SIGINT ignored.
	env --default-signal=INT nbd-connect -u socket nbd3 >out 2>err &
	wait_for 20 test -e /sys/block/nbd3/pid
	kill -$signal $!
	udevadm control --start-exec-queue
	wait $!
	status=$?
	((status == 128 + $(kill -l $signal))) || fail "$signal: status $status: $(<err)"
	[[ ! -s out && $(<err) == *interrupted ]] || fail "$signal: $(<out), $(<err)"
	[[ ! -e /sys/block/nbd3/pid ]] || fail "$signal: still attached"
done
