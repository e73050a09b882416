#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A hundred times attached and detached, while somebody else opens and closes the device all the
# time, as udev's probing does; every 25 times the module is loaded anew. Nothing is left.
# vm: timeout=1800
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
make_image disk.img 8M

# For a moment at a time: a redirection of a builtin costs no process.
probe() {
	while :; do
		for device in /dev/nbd0 /dev/nbd1; do
			{ read -r -N 1; } <"$device"
		done
		read -r -t 0.02 <>"$T/pause"
	done 2>/dev/null
}
mkfifo pause

# What one round may not leave.
left() {
	[[ -z $(compgen -G '/run/nbd-tools/nbd*') ]] || fail "round $1: $(ls /run/nbd-tools)"
	pgrep -x nbd-loop >/dev/null && fail "round $1: a process"
	[[ -z $(compgen -G '/sys/block/nbd*/pid') ]] || fail "round $1: attached"
}

stop_probing() {
	kill "$prober"
	wait "$prober" 2>/dev/null
}

for ((round = 1; round <= 100; round++)); do
	if ((round % 25 == 1)); then
		((round == 1)) || stop_probing
		unload_nbd
		load_nbd
		start_background probe
		prober=$!
	fi
	device=$(nbd-loop disk.img) || fail "round $round: attach"
	[[ $(blockdev --getsize64 "$device") == $((8 << 20)) ]] || fail "round $round: the size"
	printf '%08d' "$round" | dd of="$device" bs=512 seek=7 conv=sync,fsync 2>dd.log ||
		fail "round $round: write: $(cat dd.log)"
	# The prober may have it open at that moment: then it is in use, and refused.
	detached=
	for try in {1..20}; do
		nbd-loop -d "$device" 2>detach.log && detached=yes && break
		(($? == 4)) || fail "round $round, try $try: $(cat detach.log)"
	done
	[[ $detached ]] || fail "round $round: always in use: $(cat detach.log)"
	[[ $(dd if=disk.img bs=512 skip=7 count=1 2>/dev/null | head -c 8) == $(printf '%08d' "$round") ]] ||
		fail "round $round: the data"
	left "$round"
done
stop_probing
unload_nbd
