#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --connections: as many links, each with its own thread, and one coherent view of the data.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 32M
device=$(attach nbd-loop --connections 4 disk.img) || fail "attach"
expect_status 0 nbd-loop -l -n --raw -O CONNS "$device"
expect_match '^4$' "$out"
pid=$(nbd-list -n --raw -O PID "$device")
# Those that wait for storage in their place have another name.
[[ $(cat "/proc/$pid"/task/*/comm | grep -c nbd-loop) == 5 ]] || fail "threads"
fio --name=verify --filename="$device" --rw=randwrite --bsrange=512-64k --size=8M --numjobs=2 \
	--offset_increment=8M --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c \
	--verify_fatal=1 --do_verify=1 >fio.log 2>&1 || fail "$(cat fio.log)"
expect_status 0 nbd-loop -d "$device"
