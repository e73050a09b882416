#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# When a detach returns, the server has closed the image: what it lies on can be unmounted. A server
# that does not get there in time is a failure, said as such.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
need strace flock
load_nbd
mkdir mnt
mount -t tmpfs image mnt
make_image mnt/disk.img 16M
device=$(nbd-loop mnt/disk.img) || fail "attach"
# The removal of its record is the server's word that it is done. What it writes after that, to
# announce it, and all that follows, comes seconds later now.
pid=$(nbd-list -n --raw -O PID "$device")
start_background strace -f -qq -e trace=write -e inject=write:delay_enter=3000000 \
	-o strace.log -p "$pid"
traced() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$pid/status"; }
wait_for 20 traced
expect_status 0 nbd-loop -d "$device"
umount mnt || fail "the image is still open"

make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
# It cannot remove its record for a while.
flock /run/nbd-tools/files.lock sleep 6 &
expect_status 7 nbd-disconnect --timeout 2 "$device"
expect_match 'is detached, but process [0-9]+, which served .*/disk.img, is not done' "$err"
[[ ! -e /sys/block/${device#/dev/}/pid ]] || fail "still attached"
wait $!
