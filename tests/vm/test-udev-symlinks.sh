#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# udev's links by entry and by source are there when an attach returns, for partitions too, and gone
# when a detach does; whatever a source is called, its link is one file in /dev/disk/by-nbd.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
shopt -s nullglob dotglob
load_nbd
use_udev_rules 60-nbd-tools

# Sets links: all of ours.
find_links() {
	local folder
	links=()
	for folder in /dev/disk/by-nbd /dev/nbd/by-name; do
		links+=("$folder"/*)
	done
}

# expect_links DEVICE LINK…: these, each with -part1 too, and no others.
expect_links() {
	local device=$1 link links
	shift
	for link in "$@"; do
		[[ $link -ef $device && $link-part1 -ef ${device}p1 ]] || fail "$link is not $device"
	done
	find_links
	((${#links[@]} == 2 * $#)) || fail "other links: ${links[*]}"
}

expect_no_links() {
	local links
	find_links
	((${#links[@]} == 0)) || fail "$1: links are still there: ${links[*]}"
}

# A text as udev writes it.
encode() {
	local LC_ALL=C text=$1 encoded='' character i
	for ((i = 0; i < ${#text}; i++)); do
		character=${text:i:1}
		[[ $character == [A-Za-z0-9#+.:=@_-] ]] || printf -v character '\\x%02x' "'$character"
		encoded+=$character
	done
	echo "$encoded"
}

make_image disk.img 16M
echo ',,L' | sfdisk --quiet disk.img
port=$(unused_port)
start_background nbdkit -f -i 127.0.0.1 -p "$port" file disk.img
start_background nbdkit -f -U "$T/socket" file disk.img
wait_for 20 test -S socket
wait_for 20 nbd-list -q "nbd://127.0.0.1:$port"

device=$(nbd-loop disk.img) || fail "attach"
expect_links "$device" "/dev/disk/by-nbd/$(encode "file:$T/disk.img")"
expect_status 0 nbd-loop -d "/dev/disk/by-nbd/$(encode "file:$T/disk.img")"
expect_no_links "nbd-loop -d"

mkdir -p /etc/nbd
printf '%s\n' "file = $T/disk.img" >/etc/nbd/my+disk-1.conf
device=$(nbd-connect my+disk-1) || fail "attach an entry"
rm -r /etc/nbd
expect_links "$device" /dev/nbd/by-name/my+disk-1 "/dev/disk/by-nbd/$(encode "file:$T/disk.img")"
expect_status 0 nbd-disconnect /dev/nbd/by-name/my+disk-1
expect_no_links "of an entry"

device=$(nbd-connect "nbd://127.0.0.1:$port/a/b") || fail "attach"
expect_links "$device" "/dev/disk/by-nbd/127.0.0.1:$port-a\\x2fb"
expect_status 0 nbd-disconnect "$device"
expect_no_links nbd-disconnect

# Sources with anything in them, as URIs have it escaped.
for export in '%20%20a%22b%27c%0Ad%01' '..%2F../..%2Ftmp%2Fx' '%25n%25k%24env%7BPATH%7D%C3%A9' \
	'%24%28reboot%29%60x%60%5Cx2f..'; do
	device=$(nbd-connect "nbd+unix:///$export?socket=$T/socket") || fail "attach $export"
	printf -v name '%b' "${export//%/\\x}"
	expect_links "$device" "/dev/disk/by-nbd/$(encode "unix:$T/socket-$name")"
	expect_status 0 nbd-disconnect "$device"
	expect_no_links "$export"
done

# What is too long for a name has none.
printf -v long '%04096d' 0
device=$(nbd-connect "nbd+unix:///$long?socket=$T/socket") || fail "attach a long name"
expect_no_links "4096 bytes"
expect_status 0 nbd-disconnect "$device"

# shellcheck disable=SC2016 # nothing shall expand
for file in $' two  words\n' '$(reboot)`x`"%n\x2f..'; do
	cp disk.img "./$file"
	device=$(nbd-loop "./$file") || fail "attach $file"
	expect_links "$device" "/dev/disk/by-nbd/$(encode "file:$T/$file")"
	expect_status 0 nbd-loop -d "$device"
	expect_no_links "$file"
done

# Devices that are not connected are not probed, nor watched, whatever happens to them.
device=$(nbd-loop disk.img /dev/nbd7) || fail "attach nbd7"
[[ -L /run/udev/watch/b$(stat -c '%Hr:%Lr' "$device") ]] || fail "nbd7 is not watched"
expect_status 0 nbd-loop -d "$device"
udevadm trigger --settle --subsystem-match=block --sysname-match='nbd*'
for device in /dev/nbd{0..15}; do
	[[ -z $(udevadm info --query=symlink "$device") ]] || fail "$device has links"
	[[ ! -L /run/udev/watch/b$(stat -c '%Hr:%Lr' "$device") ]] || fail "$device is watched"
	! udevadm info --query=property "$device" | grep -q '^\(NBD_TOOLS\|ID_FS\|ID_PART\)' ||
		fail "$device has properties"
done
