# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests on a real kernel share. A test runs as root in the guest, in its own folder $T (on
# a tmpfs; /ext4 is a disk), with the built commands first in PATH; guest-run looks for what it
# leaves behind. A test begins with: . "$VM/lib.sh"
set -u
T=${T:-$(mktemp -d)}
out=
err=

fail() {
	echo "FAIL: $*"
	exit 1
}

# The test cannot run here.
skip() {
	echo "$*"
	exit 77
}

# Skips the test unless these programs are here.
need() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "no $program here"
	done
}

# Runs a command; its output is in $out and $err afterwards.
expect_status() {
	local wanted=$1 status
	shift
	"$@" >"$T/.out" 2>"$T/.err"
	status=$?
	out=$(<"$T/.out")
	err=$(<"$T/.err")
	((status == wanted)) || fail "$*: status $status, not $wanted; out: $out; err: $err"
}

# An extended regular expression that a line of the text matches.
expect_match() {
	grep -qE -- "$1" <<<"$2" || fail "no line matches '$1' in: $2"
}

# Tries a command or function until it succeeds, for so many seconds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || fail "waited in vain for: $*"
		sleep 0.1
	done
}

make_image() {
	truncate -s "$2" "$1"
}

# Runs a command without any rights.
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# A TCP port that nobody listens on.
unused_port() {
	local port
	while port=$((20000 + RANDOM % 10000)); do
		ss -Hltn "sport = :$port" | grep -q . || break
	done
	echo "$port"
}

# A server that ends with the test. Its process is in $! for the caller, what it says is shown if
# the test fails.
background=()
start_background() {
	"$@" >>"$T/background.log" 2>&1 &
	background+=($!)
}

# Ends them, with force those that do not end by themselves.
end_background() {
	local status=$? pid
	for pid in "${background[@]}"; do
		kill -TERM "$pid" 2>/dev/null
		kill -CONT "$pid" 2>/dev/null
	done
	for pid in "${background[@]}"; do
		timeout 5 tail --pid="$pid" -s 0.1 -f /dev/null || kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	((status == 0)) || [[ ! -s $T/background.log ]] || sed 's/^/background: /' "$T/background.log"
	return "$status"
}
trap end_background EXIT

# The module with the given parameters, or without: loaded anew if it has others, or if an earlier
# test made it add devices.
load_nbd() {
	local options=/run/nbd-module-options
	if [[ -d /sys/module/nbd && -e $options && $(<"$options") == "$*" && ! -e /sys/block/nbd16 ]]; then
		return
	fi
	unload_nbd
	modprobe nbd "$@" || fail "cannot load nbd"
	echo "$*" >"$options"
	udevadm settle
}

unload_nbd() {
	[[ -d /sys/module/nbd ]] || return 0
	udevadm settle
	wait_for 10 rmmod nbd
	udevadm settle
}

# Attaches by the given command, prints the device. Where threads are slow to start, a kernel gives
# all receivers of a device with several connections to one thread (workqueue.c, rescuer_thread()),
# and all but the first wait for ever: then it takes another try.
attach() {
	local device _
	for _ in 1 2 3; do
		device=$("$@" 2>"$T/.err")
		grep -qE 'udev is still busy|does not answer' "$T/.err" || break
		nbd-disconnect --force --timeout 5 "$device" >&2
	done
	cat "$T/.err" >&2
	[[ $device ]] && echo "$device"
}

# Attaches URI with the given options, writes and verifies it with fio, flushes, detaches.
verify_export() {
	local uri=$1 device
	shift
	device=$(attach nbd-connect "$@" "$uri") || fail "nbd-connect $* $uri"
	fio --name=verify --filename="$device" --rw=randwrite --bsrange=512-64k --size=8M \
		--ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --fsync=64 >"$T/fio.log" 2>&1 || fail "fio on $uri: $(cat "$T/fio.log")"
	expect_status 0 nbd-disconnect "$device"
}

# Has udev follow our rules with the helper that was built, until the test ends: use_udev_rules NAME…
use_udev_rules() {
	local name
	mkdir -p /run/udev/rules.d
	for name in "$@"; do
		sed "s,@UDEVDIR@,$BUILD/udev,g" "$VM/../../udev/$name.rules.in" \
			>"/run/udev/rules.d/$name.rules" || fail "no $name.rules.in"
	done
	udevadm control --reload
	trap forget_udev_rules EXIT
}

forget_udev_rules() {
	local status=$?
	rm -f /run/udev/rules.d/*
	udevadm control --reload
	(exit "$status")
	end_background
}
