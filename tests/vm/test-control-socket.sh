#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The control socket answers JSON, bears nonsense, and is for root alone.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 4M
device=$(nbd-loop disk.img) || fail "attach"
socket=/run/nbd-tools/${device#/dev/}.sock
[[ $(stat -c %a "$socket") == 600 ]] || fail "mode"
ask() {
	socat -t 5 - "UNIX-CONNECT:$socket" <<<"$1"
}
ask '{"command": "status"}' | jq -e '.result == 0 and .size == 4194304' || fail "status"
for nonsense in '{"command": null}' '{"command": 7}' '{}' '[]' 'x' '{"command": "fly"}'; do
	ask "$nonsense" | jq -e '.result < 0' || fail "$nonsense"
done
ask '{"command": "fail-writes"}' | jq -e '.result == 0' || fail "fail-writes"
dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct 2>/dev/null && fail "written"
ask '{"command": "pass-writes"}' | jq -e '.result == 0' || fail "pass-writes"
dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct 2>/dev/null || fail "not written"
ask '{"command": "stop"}' | jq -e '.result == 0' || fail "stop"
gone() { [[ ! -e $socket && -z $(nbd-list -n) ]]; }
wait_for 20 gone
