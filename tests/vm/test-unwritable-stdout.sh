#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A device whose name cannot be told to the caller does not stay attached; descriptors that the
# caller has closed do no harm.
# vm: timeout=240
# shellcheck disable=SC2016 # it is for another bash
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
need nbdkit
load_nbd
make_image disk.img 4M
start_background nbdkit -f -U "$T/socket" memory 4M
wait_for 20 test -S socket

# refused STDOUT COMMAND…: says so, once, and leaves nothing attached.
refused() {
	expect_status 1 bash -c '"$@" '"$1" bash "${@:2}"
	expect_match 'cannot write to standard output' "$err"
	[[ $(wc -l <<<"$err") == 1 ]] || fail "$err"
	[[ -z $(nbd-list -n) ]] || fail "${*:2} $1: $(nbd-list)"
}

# A pipe that nobody reads any more.
exec 3> >(:)
wait $!

refused '>/dev/full' nbd-loop disk.img
refused '>&3' nbd-loop disk.img
refused '>&3' nbd-loop --foreground disk.img
refused '>&3' nbd-connect -u socket
refused '>&-' nbd-loop disk.img
refused '>/dev/full' nbd-loop --foreground disk.img
refused '>/dev/full' nbd-connect -u socket
refused '>&-' nbd-connect -u socket
refused '>/dev/full' nbd-connect --ioctl -u socket
refused '>/dev/full' nbd-connect --ioctl --foreground -u socket

# One that was there before stays.
expect_status 0 nbd-loop disk.img
expect_status 1 bash -c 'nbd-loop --idempotent disk.img >/dev/full'
expect_status 1 bash -c 'nbd-list >&-'
expect_status 0 nbd-loop -D

# What goes to people does not go into an image or a socket that got the number.
sum=$(md5sum <disk.img)
device=$(nbd-loop -v disk.img <&- 2>&-) || fail "nbd-loop without stdin and stderr"
expect_status 0 bash -c 'nbd-loop -v -d "$1" <&- >&- 2>&-' bash "$device"
device=$(nbd-connect -v -u socket <&- 2>&-) || fail "nbd-connect without stdin and stderr"
expect_status 0 bash -c 'nbd-disconnect -v "$1" <&- >&- 2>&-' bash "$device"
[[ $(md5sum <disk.img) == "$sum" ]] || fail "the image has changed"
