#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve with sockets that were handed over: by libnbd's clients, and several by systemd; not with what
# is no socket.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image disk.img 1
truncate -s 1M copy.img

nbdcopy -- [ "$BUILD/bin/nbd-serve" -r disk.img ] copy.img
cmp disk.img copy.img
nbdcopy disk.img [ "$BUILD/bin/nbd-serve" other=copy.img ]
cmp disk.img copy.img
nbdinfo --size [ "$BUILD/bin/nbd-serve" disk.img ] >size
same_text 1048576 "$(<size)"

# Started by the first client, with two sockets; both stay where they are at the end.
systemd-socket-activate -l "$PWD/nbd.sock" -l "$PWD/other.sock" "$BUILD/bin/nbd-serve" disk.img >output 2>said &
server=$!
for ((tries = 0; tries < 200; tries++)); do
	is_listening "$PWD/other.sock" && break
	sleep 0.05
done
for path in "$socket" "$PWD/other.sock"; do
	nbdcopy "nbd+unix:///?socket=$path" copy.img
	cmp disk.img copy.img
done
same_text nbd-serve "$(cat "/proc/$server/comm")"
kill "$server"
wait "$server" || fail "status $?: $(<said)"
[[ -S nbd.sock && -S other.sock && ! -s output ]] || fail "$(ls; cat output)"

# with_descriptor COUNT COMMAND…: as if that many had been handed over, the first of them 3.
with_descriptor() {
	LISTEN_FDS=$1 bash -c 'LISTEN_PID=$$ exec "$@"' bash "${@:2}"
}
expect_status() {
	local status=0
	with_descriptor "${@:3}" 2>said || status=$?
	[[ $status == "$1" && $(<said) == *"$2"* ]] || fail "$status: $(<said)"
}
serve=("$BUILD/bin/nbd-serve" disk.img)
expect_status 2 "no listening socket" 1 "${serve[@]}" 3<disk.img
expect_status 2 "no listening socket" 1 "${serve[@]}" 3<&-
expect_status 2 "more than 32" 33 "${serve[@]}"
expect_status 2 "given already" 1 "${serve[@]}" --unix third.sock
[[ ! -e third.sock ]]
# Sockets for somebody else are none of ours.
LISTEN_PID=1 LISTEN_FDS=1 nbd_serve --unix third.sock disk.img
kill "$server"
wait "$server"
