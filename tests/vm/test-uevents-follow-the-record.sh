#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# udev's rules see a "change" of the disk once the record is there, and one once it is gone; and
# they are done with it when the command returns.
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
load_nbd
rules=/run/udev/rules.d/99-nbdt-test.rules
remove_rules() {
	rm -f "$rules"
	udevadm control --reload
	end_background
}
trap remove_rules EXIT

# Writes a line for each event: what it is, what it is of, whether it came by a write to "uevent"
# and not from the driver, and whether there is a record at that time.
cat >note <<'END'
#!/bin/bash
name=${DEVNAME#/dev/}
record=forgotten
[[ ! -e /run/nbd-tools/${name%p*}.json ]] || record=recorded
echo "$name $ACTION ${SYNTH_UUID+synthetic} $record" >>"${0%/*}/events"
END
chmod +x note
mkdir -p "${rules%/*}"
echo "SUBSYSTEM==\"block\", KERNEL==\"nbd*\", PROGRAM=\"$T/note\"" >"$rules"
udevadm control --reload

# The last event of a disk or partition.
last() {
	grep "^$1 " events | tail -n 1
}

make_image disk.img 16M
echo ',,L' | sfdisk --quiet disk.img
start_background nbdkit -f -U "$T/socket" file disk.img
wait_for 20 test -S socket
try() {
	: >events
	device=$("$@") || fail "$*"
	name=${device#/dev/}
	grep -qx "$name change synthetic recorded" events || fail "$*: no event: $(<events)"
	expect_match ' recorded$' "$(last "$name")"
	expect_match ' recorded$' "$(last "${name}p1")"
	: >events
	expect_status 0 nbd-disconnect "$device"
	expect_match ' change synthetic forgotten$' "$(last "$name")"
	expect_match ' remove ' "$(last "${name}p1")"
}
try nbd-loop disk.img
try nbd-connect -u socket
try nbd-connect --ioctl -u socket

# A server that detaches by itself announces it too.
device=$(nbd-loop disk.img) || fail "attach"
name=${device#/dev/}
: >events
kill "$(nbd-list -n --raw -O PID "$device")"
gone() { [[ $(last "$name") == "$name change synthetic forgotten" ]]; }
wait_for 20 gone
