#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-disconnect --wait: until the device is unmounted, or the time is over.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
mkfs.ext4 -q "$device"
mkdir mnt
mount "$device" mnt
begin=$SECONDS
expect_status 4 nbd-disconnect --wait=2 "$device"
((SECONDS - begin >= 1)) || fail "did not wait"
expect_match "mounted on $T/mnt; waiting 2 s" "$err"
expect_match "^nbd-disconnect: $device is mounted on $T/mnt\$" "$err"
nbd-disconnect --wait=60 "$device" 2>err &
pid=$!
wait_for 20 grep -q 'waiting 60 s' err
umount mnt
wait $pid || fail "status $?: $(<err)"
[[ $(grep -c . err) == 1 ]] || fail "said more: $(<err)"
[[ -z $(nbd-list -n) ]] || fail "still attached"
