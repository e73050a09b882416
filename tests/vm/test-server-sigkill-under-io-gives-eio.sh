#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# vm: timeout=180
# The server killed under I/O: errors within the request timeout and some, then cleared.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 64M
device=$(nbd-loop --timeout 5 disk.img) || fail "attach"
pid=$(nbd-list -n --raw -O PID "$device")
fio --name=load --filename="$device" --rw=randrw --bs=4k --direct=1 --ioengine=libaio \
	--iodepth=16 --time_based --runtime=60 >fio.log 2>&1 &
load=$!
sleep 5
kill -STOP "$pid"
sleep 1
kill -KILL "$pid"
begin=$SECONDS
wait $load && fail "fio saw no error"
(( SECONDS - begin < 30 )) || fail "errors came only after $((SECONDS - begin)) s"
[[ $(nbd-list -n --raw -O STATE "$device") == dead ]] || fail "not dead: $(nbd-list)"
expect_status 0 nbd-disconnect "$device"
