#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A request that takes much longer than the timeout is no error while the server lives: it has the
# kernel's timeout switched off meanwhile, and on again afterwards.
# vm: timeout=180
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
need fsfreeze
image=/ext4/slow.img
thaw() {
	fsfreeze -u /ext4 2>/dev/null
	end_background
}
trap thaw EXIT
load_nbd
make_image "$image" 64M
device=$(nbd-loop --timeout 6 "$image") || fail "attach"
fsfreeze -f /ext4 || fail "freeze"
# In jiffies.
timeout=/sys/kernel/debug/nbd/${device#/dev/}/timeout
usual=$(<"$timeout")
((usual > 0)) || fail "no timeout"
begin=$SECONDS
dd if=/dev/urandom of="$device" bs=64k count=16 conv=fsync 2>dd.log &
writer=$!
sleep 20
[[ -e /proc/$writer ]] || fail "the write did not wait: $(cat dd.log)"
[[ $(<"$timeout") == 0 ]] || fail "the timeout is in force"
fsfreeze -u /ext4 || fail "thaw"
wait $writer || fail "an error after $((SECONDS - begin)) s: $(cat dd.log)"
dmesg | grep -E 'timed out|Connection|I/O error' && fail "the kernel noticed"
in_force() { [[ $(<"$timeout") == "$usual" ]]; }
wait_for 10 in_force
dd if="$device" of=/dev/null bs=64k count=16 iflag=direct 2>dd.log || fail "read: $(cat dd.log)"
expect_status 0 nbd-loop -d "$device"
rm "$image"
