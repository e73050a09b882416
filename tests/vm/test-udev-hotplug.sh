#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What becomes of a URI that a rule puts into NBD_URI: filed once for all devices that ask for it,
# started when one comes, stopped when the last goes or asks for another; hostile ones are ignored.
# A fake systemctl notes what it is told.
# vm: timeout=400
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
shopt -s nullglob
use_udev_rules 99-zz-nbd-tools-hotplug
folder=/run/nbd-tools/hotplug

printf '#!/bin/sh\necho "$*" >>%q\n' "$T/told" >systemctl
chmod +x systemctl
: >told
mount --bind systemctl /usr/bin/systemctl
end_test() {
	local status=$?
	umount /usr/bin/systemctl
	(exit "$status")
	forget_udev_rules
}
trap end_test EXIT

# rule TEXT: of the two devices that ask. A worker that is not idle yet would keep the old ones.
rule() {
	udevadm settle
	printf 'SUBSYSTEM=="mem", KERNEL=="full|zero", %s\n' "$1" >/run/udev/rules.d/95-test.rules
	udevadm control --reload
}

# event ACTION DEVICE…
event() {
	udevadm trigger --settle --action="$1" "${@:2}"
}
full=/sys/devices/virtual/mem/full
zero=/sys/devices/virtual/mem/zero

# expect_filed URI…: an entry for each, and nothing else.
expect_filed() {
	local uri file entries=("$folder"/*.conf) all=("$folder"/*)
	for uri in "$@"; do
		file=$(grep -lxF "uri = $uri" "${entries[@]}" /dev/null) || fail "$uri is not filed"
		[[ $file =~ ^$folder/uri:[0-9a-f]{16}\.conf$ && $(wc -l <"$file") == 1 ]] || fail "$file"
	done
	((${#entries[@]} == $# && ${#all[@]} == 2 * $# + 1)) || fail "more is filed: ${all[*]}"
}

unit_of() {
	local file
	file=$(grep -lxF "uri = $1" "$folder"/*.conf) || fail "$1 is not filed"
	file=${file##*/}
	echo "nbd-connect@${file%.conf}.service"
}

# expect_told TEXT: what systemctl was told since the last time.
expect_told() {
	[[ $(<told) == "$1" ]] || fail "told: $(<told); not: $1"
	: >told
}

# expect_wanted NUMBER UNIT: of the device with this number, in udev's database.
expect_wanted() {
	local properties
	properties=$(<"/run/udev/data/c$1")
	[[ $properties == *"E:SYSTEMD_WANTS=$2"* && $properties == *G:systemd* ]] ||
		fail "$1 does not want $2: $properties"
}

# Two devices, one URI.
rule 'ACTION=="add", ENV{NBD_URI}="nbd://server/one"'
event add "$full"
expect_filed nbd://server/one
one=$(unit_of nbd://server/one)
expect_told "--no-block start $one"
event add "$zero"
expect_filed nbd://server/one
expect_wanted 1:5 "$one"
: >told
# Again, and events that do not mention it.
event add "$full" "$zero"
event change "$full" "$zero"
expect_filed nbd://server/one
expect_wanted 1:7 "$one"
expect_told ''
event remove "$full"
expect_filed nbd://server/one
expect_told ''
event remove "$zero"
expect_filed
expect_told "--no-block stop $one"

# Another URI; one that is none ends the claim, and is not asked about again.
rule 'ACTION=="add|change", ENV{NBD_URI}="nbd://server/one"'
event change "$full"
rule 'ACTION=="change", ENV{NBD_URI}="nbd://server/two"'
: >told
event change "$full"
expect_filed nbd://server/two
two=$(unit_of nbd://server/two)
expect_told "--no-block stop $one"$'\n'"--no-block start $two"
expect_wanted 1:7 "$two"
rule 'ENV{NBD_URI}="nbd://server/not this"'
event change "$full"
expect_filed
expect_told "--no-block stop $two"
rule 'ENV{x}="y"'
event change "$full"
event remove "$full"
expect_told ''

# What systemd would not consider ready is not started.
rule 'ACTION=="add", ENV{NBD_URI}="nbd://server/one", ENV{SYSTEMD_READY}="0"'
event add "$full"
expect_filed nbd://server/one
expect_told ''
event remove "$full"
: >told

# Names that a shell would like, and the longest that there can be.
printf -v long 'nbd://server/%04096d' 0
for uri in "nbd://server/;\$(reboot)&'%22" "$long"; do
	echo "NBD_URI=$uri" >property
	rule "ACTION==\"add\", IMPORT{file}=\"$T/property\""
	event add "$full"
	expect_filed "$uri"
	expect_told "--no-block start $(unit_of "$uri")"
	event remove "$full"
	expect_filed
	: >told
done

# Nothing comes of what is no URI.
echo "NBD_URI=${long}0" >property
for assignment in 'ENV{NBD_URI}="nbd://server/a b"' 'ENV{NBD_URI}=e"nbd://server/\nfile = /etc/shadow"' \
	'ENV{NBD_URI}="../../etc/passwd"' "ENV{NBD_URI}=\"\$attr{uevent}\"" "IMPORT{file}=\"$T/property\"" \
	'ENV{NBD_URI}=e"nbd://server/\" evil.service"' 'ENV{NBD_URI}="%k"' 'ENV{NBD_URI}="http://server/"'; do
	rule "ACTION==\"add\", $assignment"
	event add "$full"
	expect_filed
	expect_told ''
	[[ ! $(</run/udev/data/c1:7) =~ SYSTEMD_WANTS|NBD_TOOLS ]] || fail "$assignment: it is wanted"
done
