#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --idempotent prints the device of what is attached already, and only if it lives and is the same.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 8M
start_background nbdkit -f -U "$T/socket" file "$T/disk.img"
server=$!
wait_for 20 test -S socket
uri="nbd+unix:///?socket=$T/socket"
expect_status 0 nbd-connect --idempotent "$uri" nbd3
[[ $out == /dev/nbd3 ]] || fail "out: $out"
expect_status 0 nbd-connect --idempotent "nbd+unix:///?socket=$T/none" "$uri"
[[ $out == /dev/nbd3 ]] || fail "out: $out"
expect_status 0 nbd-connect --idempotent --ioctl --foreground "$uri" nbd3
[[ $out == /dev/nbd3 ]] || fail "out: $out"
# Another device, another source, without the option.
expect_status 0 nbd-connect --idempotent "$uri" nbd5
[[ $out == /dev/nbd5 ]] || fail "out: $out"
expect_status 5 nbd-connect --idempotent -i other "$uri" nbd3
expect_status 5 nbd-connect "$uri" nbd3
# Without a server too.
kill -KILL $server
wait $server
expect_status 0 nbd-connect --idempotent "$uri" nbd5
expect_status 6 nbd-connect --idempotent "$uri" nbd6
nbd-disconnect -q "$uri" 2>/dev/null
[[ -z $(nbd-list -n) ]] || fail "still attached: $(nbd-list)"

# Several at once attach one.
rm -f socket
start_background nbdkit -f -U "$T/socket" file "$T/disk.img"
wait_for 20 test -S socket
pids=()
for i in 1 2 3; do
	nbd-connect --idempotent "$uri" >"out$i" &
	pids+=($!)
done
wait "${pids[@]}" || fail "one of three failed"
[[ $(nbd-list -n | wc -l) == 1 ]] || fail "several devices: $(nbd-list)"
[[ $(<out1) == "$(<out2)" && $(<out1) == "$(<out3)" ]] || fail "$(cat out?)"
expect_status 0 nbd-disconnect -a

# Images: the same part of the same file, by a living server.
device=$(nbd-loop --idempotent --offset=1M disk.img) || fail "attach"
ln disk.img other-name
expect_status 0 nbd-loop --idempotent --offset=1M other-name
[[ $out == "$device" ]] || fail "out: $out"
expect_status 0 nbd-loop --idempotent --foreground --offset=1M disk.img "$device"
expect_status 4 nbd-loop --idempotent disk.img
expect_status 2 nbd-loop --idempotent disk.img -- true
kill -KILL "$(nbd-list -n --raw -O PID "$device")"
is_dead() { [[ $(nbd-list -n --raw -O STATE "$device") == dead ]]; }
wait_for 20 is_dead
expect_status 0 nbd-loop --idempotent --force --offset=1M disk.img
[[ $out != "$device" ]] || fail "a dead device was good enough"
expect_status 0 nbd-disconnect -q -a
