# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests on a real kernel share. A test runs as root in the guest, in its own folder $T,
# with the built commands first in PATH; guest-run looks for what it leaves behind.
set -u
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

as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# A TCP port that nobody listens on; the guest's loopback is the test's own.
unused_port() {
	echo $((20000 + RANDOM % 10000))
}

# A server that ends with the test. Its process is in $! for the caller.
background=()
start_background() {
	"$@" >>"$T/background.log" 2>&1 &
	background+=($!)
}

end_background() {
	local pid
	for pid in "${background[@]}"; do
		kill -CONT "$pid" 2>/dev/null
		kill "$pid" 2>/dev/null
	done
	for pid in "${background[@]}"; do
		wait "$pid" 2>/dev/null
	done
}
trap end_background EXIT

# The module with the given parameters: loaded anew if it has others.
load_nbd() {
	if [[ -d /sys/module/nbd && $# == 0 ]] &&
		[[ $(</sys/module/nbd/parameters/nbds_max) == 16 ]]; then
		return
	fi
	unload_nbd
	modprobe nbd "$@" || fail "cannot load nbd"
	udevadm settle
}

unload_nbd() {
	[[ -d /sys/module/nbd ]] || return 0
	udevadm settle
	wait_for 10 rmmod nbd
	udevadm settle
}

# Attaches URI with the given options, writes and verifies it with fio, flushes, detaches.
verify_export() {
	local uri=$1 device
	shift
	device=$(nbd-connect "$@" "$uri") || fail "nbd-connect $* $uri"
	fio --name=verify --filename="$device" --rw=randwrite --bsrange=512-64k --size=8M \
		--ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --fsync=64 >"$T/fio.log" 2>&1 || fail "fio on $uri: $(cat "$T/fio.log")"
	expect_status 0 nbd-disconnect "$device"
}
