#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM and SIGINT to nbd-loop's server detach cleanly: nothing is left, data are in the image.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
for signal in TERM INT; do
	device=$(nbd-loop disk.img) || fail "attach"
	pid=$(nbd-list -n --raw -O PID "$device")
	echo "$signal" >data
	dd if=data of="$device" conv=notrunc 2>/dev/null
	kill -"$signal" "$pid"
	gone() { [[ ! -e /proc/$pid && ! -e /sys/block/${device#/dev/}/pid ]]; }
	wait_for 20 gone
	[[ $(head -n 1 disk.img) == "$signal" ]] || fail "data are missing"
	[[ ! -e /run/nbd-tools/${device#/dev/}.json ]] || fail "record left"
	[[ ! -e /run/nbd-tools/${device#/dev/}.sock ]] || fail "control socket left"
done
