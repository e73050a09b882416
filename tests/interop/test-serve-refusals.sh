#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What nbd-serve does not start with, what it says, and its status.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 1M disk.img
: >empty.img
mkdir folder
here=(--unix nbd.sock)
long=$(printf '%4097s' '' | tr ' ' x)

refuses 2 "no FILE" "${here[@]}"
refuses 1 "nothing.img: No such file" "${here[@]}" nothing.img
refuses 1 "empty.img" "${here[@]}" empty.img
refuses 1 "folder" "${here[@]}" folder
refuses 2 "4096 bytes" "${here[@]}" "$long=disk.img"
refuses 2 "UTF-8" "${here[@]}" $'\xff=disk.img'
refuses 2 "4096 bytes" "${here[@]}" --description "$long" disk.img
refuses 2 "already" "${here[@]}" disk.img folder/../disk.img
refuses 2 "already" "${here[@]}" a=disk.img a=disk.img
refuses 2 "there is no export" "${here[@]}" --default b a=disk.img
refuses 2 "single export" "${here[@]}" --offset 1K disk.img b=disk.img
refuses 2 "single export" "${here[@]}" --overlay=o disk.img b=disk.img
refuses 2 "exclude each other" "${here[@]}" --overlay -r disk.img
refuses 1 "disk.img" "${here[@]}" --offset 1M disk.img
refuses 2 "not a size" "${here[@]}" --offset 1X disk.img
for address in '::1' '::1:10809' '[::1' '[::1]x' 'localhost:x' 'localhost:65536' 'localhost:' '1:2:3'; do
	refuses 2 "--listen" --listen "$address" disk.img
done
refuses 1 "no.such.host.invalid" --listen no.such.host.invalid:1 disk.img
refuses 1 "192.0.2.1" --listen 192.0.2.1:0 disk.img
refuses 1 "107 bytes" --unix "$long" disk.img
refuses 1 "nowhere/nbd.sock: No such file" --unix nowhere/nbd.sock disk.img
for number in 0 100001 x -1; do
	refuses 2 "not a number" "${here[@]}" --max-connections="$number" disk.img
done
refuses 2 "--tls" "${here[@]}" --tls=yes disk.img
refuses 2 "TLS needs" "${here[@]}" --tls=on disk.img
refuses 2 "asks for TLS" "${here[@]}" --tls=off --tls-psk=keys disk.img
refuses 2 "exclude each other" "${here[@]}" --tls-certificates=. --tls-psk=keys disk.img
refuses 1 "keys: No such file" "${here[@]}" --tls-psk=keys disk.img
refuses 1 "server-cert.pem" "${here[@]}" --tls-certificates=folder disk.img
refuses 1 "there is no user nobody-here" "${here[@]}" --user nobody-here disk.img
refuses 2 "root" "${here[@]}" --user root disk.img
refuses 2 "--help" "${here[@]}" --nonsense disk.img
[[ ! -e nbd.sock ]] || fail "the socket is left"

# Nothing that could be served is lost if it cannot say where it is.
unwritable() {
	[[ $1 == 1 && $(<said) == *"standard output"* ]] || fail "$1 $(<said)"
	[[ ! -e nbd.sock ]] || fail "the socket is left"
}
status=0
"$BUILD/bin/nbd-serve" "${here[@]}" disk.img >/dev/full 2>said || status=$?
unwritable "$status"
status=0
"$BUILD/bin/nbd-serve" "${here[@]}" disk.img >&- 2>said || status=$?
unwritable "$status"
