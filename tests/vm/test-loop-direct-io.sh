#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --direct-io serves the file past its page cache, on a filesystem that can.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
mkdir /ext4/direct
trap 'rm -rf /ext4/direct; end_background' EXIT
make_image /ext4/direct/disk.img 32M
device=$(nbd-loop --direct-io /ext4/direct/disk.img) || fail "attach"
expect_status 0 nbd-loop -l -n --raw -O DIO "$device"
expect_match '^1$' "$out"
fio --name=verify --filename="$device" --rw=randwrite --bsrange=4k-64k --size=8M \
	--ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 --do_verify=1 \
	>fio.log 2>&1 || fail "$(cat fio.log)"
expect_status 0 nbd-loop -d "$device"
