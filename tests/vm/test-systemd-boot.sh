#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A machine that attaches at boot by TCP, by a Unix socket and from an image file, mounts all three,
# is used by events, by systemctl and by hand, and is powered off with everything mounted.
# vm: init=systemd timeout=1500 image=160M
# shellcheck source=tests/vm/systemd-lib.sh
. "$(dirname "$0")/systemd-lib.sh"

rounds=50

# The disk has three partitions of 48 MiB: what the TCP server exports (a filesystem), what the Unix
# socket's does (partitioned), and a filesystem with the image file.
part_size=48
part_at() {
	echo $((1 + ($1 - 1) * part_size))
}
copy_part() {
	dd if="$1" of="$2" bs=1M count=$part_size skip="${3:-0}" seek="${4:-0}" conv=notrunc status=none
}

before() {
	local work=$T
	printf 'size=%dMiB\n' $part_size $part_size $part_size | sfdisk -q "$IMAGE" || return
	truncate -s ${part_size}M "$work/tcp" "$work/unix" "$work/files" || return
	mkfs.ext4 -q "$work/tcp" || return
	echo 'start=2048' | sfdisk -q "$work/unix" || return
	mkfs.ext4 -q -E offset=1048576 "$work/unix" $((part_size - 1))M || return
	mkdir "$work/folder" && truncate -s 24M "$work/folder/disk.img" || return
	mkfs.ext4 -q "$work/folder/disk.img" || return
	mkfs.ext4 -q -d "$work/folder" "$work/files" || return
	copy_part "$work/tcp" "$IMAGE" 0 "$(part_at 1)" || return
	copy_part "$work/unix" "$IMAGE" 0 "$(part_at 2)" || return
	copy_part "$work/files" "$IMAGE" 0 "$(part_at 3)"
}

prepare() {
	server_unit test-tcp -i 127.0.0.1 file /dev/vdb1
	server_unit test-unix -U /run/test.sock file /dev/vdb2
	server_unit test-hot -i 127.0.0.1 -p 10811 memory 8M
	enable_unit test-tcp.service network-online.target
	enable_unit test-unix.service network-online.target
	enable_unit test-hot.service network-online.target
	mkdir -p /etc/nbd /files /mnt/tcp /mnt/unix /mnt/loop
	cat >/etc/nbdtab <<-END
		nbd0 127.0.0.1 export _auto
		nonsense
		nbd1 /run/test.sock export unix,_auto,_netdev
		nbd2 127.0.0.1 export persist
	END
	# Without devices of their own they might get the one that an entry above needs.
	printf '%s\n' 'file = /files/disk.img' 'auto = yes' 'device = nbd4' >/etc/nbd/disk.conf
	printf '%s\n' 'uri = nbd://127.0.0.1:10811/m' 'auto = module' 'device = nbd6' >/etc/nbd/mod.conf
	cat >/etc/fstab <<-END
		/dev/vdb3 /files ext4 defaults
		/dev/nbd0 /mnt/tcp ext4 _netdev,x-systemd.requires=nbd-connect@nbd0.service
		/dev/nbd1p1 /mnt/unix ext4 _netdev
		/dev/nbd/by-name/disk /mnt/loop ext4 _netdev,x-systemd.requires=nbd-loop@disk.service
	END
	mkdir -p /run/udev/rules.d
	cat >/run/udev/rules.d/70-test.rules <<-'END'
		SUBSYSTEM!="net", GOTO="test_end"
		ACTION=="add", KERNEL=="hot*", ENV{NBD_URI}="nbd://127.0.0.1:10811/..%%2f$$(touch%%20%%2fcanary)"
		ACTION=="add", KERNEL=="bad0", ENV{NBD_URI}="nbd://127.0.0.1:10811/a b"
		ACTION=="add", KERNEL=="bad1", ENV{NBD_URI}="nbd://127.0.0.1:10811/$$(touch /canary)"
		ACTION=="add", KERNEL=="bad2", ENV{NBD_URI}="`touch /canary`; touch /canary"
		ACTION=="add", KERNEL=="bad3", ENV{NBD_URI}="../../../canary"
		ACTION=="add", KERNEL=="bad4", ENV{NBD_URI}=e"nbd://127.0.0.1/x\nuri = nbd://127.0.0.1/y"
		ACTION=="add", KERNEL=="bad5", ENV{NBD_URI}="nbd://127.0.0.1/%%zz"
		ACTION=="add", KERNEL=="bad6", IMPORT{file}="/etc/long-uri"
		ACTION=="add", KERNEL=="bad7", ENV{NBD_URI}="'\"nbd://127.0.0.1:10811/x\"'"
		LABEL="test_end"
	END
	printf 'NBD_URI=nbd://127.0.0.1/%s\n' "$(printf 'a%.0s' {1..4097})" >/etc/long-uri
}

# Boot

everything_is_mounted() {
	local folder
	for folder in tcp unix loop; do
		mountpoint "/mnt/$folder" || fail "$(systemctl --no-pager --failed; systemctl list-jobs)"
	done
	nothing_failed
}

mounts_come_in_order() {
	expect_order network-online.target nbd-connect@nbd0.service mnt-tcp.mount remote-fs.target
	expect_order network-online.target nbd-connect@nbd1.service mnt-unix.mount remote-fs.target
	expect_order files.mount nbd-loop@disk.service mnt-loop.mount remote-fs.target
}

no_process_stays_for_an_export() {
	! pgrep -x nbd-connect || fail "nbd-connect still runs"
	expect_property nbd-connect@nbd0.service SubState exited
	expect_property nbd-loop@disk.service SubState running
}

unit_of_a_bad_line_says_what_is_bad() {
	expect_status 1 systemctl start nbd-connect@nbd2.service
	expect_match "nbdtab:4: option 'persist' is not built yet" \
		"$(systemctl status --no-pager nbd-connect@nbd2.service)"
	[[ $(journalctl -b --no-pager -o cat -p err -u nbd-connect@nbd2.service) == *persist* ]] ||
		fail "that is not an error for the journal"
	systemctl reset-failed nbd-connect@nbd2.service
}

status_tells_what_is_attached() {
	expect_match 'Status: .*/files/disk.img.*/dev/nbd' \
		"$(systemctl status --no-pager nbd-loop@disk.service)"
}

# Events

hot_links() {
	compgen -G '/dev/disk/by-nbd/127.0.0.1:10811*'
}
no_hot_links() {
	! hot_links
}

event_attaches_its_export() {
	ip link add hot0 type dummy
	wait_for 30 hot_links
	[[ $(hot_links) == '/dev/disk/by-nbd/127.0.0.1:10811-..\x2f\x24\x28touch\x20\x2fcanary\x29' ]] ||
		fail "$(hot_links)"
	[[ ! -e /canary ]] || fail "a command was run"
}

change_keeps_it() {
	udevadm trigger --action=change --settle /sys/class/net/hot0
	hot_links || fail "the link is gone"
	[[ $(systemctl list-units --plain --no-legend 'nbd-connect@uri*' | wc -l) == 1 ]] ||
		fail "$(systemctl list-units --no-pager 'nbd-connect@*')"
}

last_removal_detaches_it() {
	ip link add hot1 type dummy
	udevadm settle
	ip link del hot0
	udevadm settle
	systemctl list-jobs --no-legend | grep -v nbdt && fail "something is to be done"
	hot_links || fail "detached, although hot1 asks for it"
	ip link del hot1
	wait_for 30 no_hot_links
}

# What is said of them is read once the machine is off.
hostile_uris_do_nothing() {
	local i found
	for i in 0 1 2 3 4 5 6 7; do
		ip link add "bad$i" type dummy
	done
	udevadm settle
	for i in 0 1 2 3 4 5 6 7; do
		ip link del "bad$i"
	done
	udevadm settle
	found=$(shopt -s nullglob && echo /{,etc/,tmp/,run/,run/*/,var/,var/*/,root/,dev/}*canary*)
	[[ -z $found ]] || fail "$found"
	found=$(find /run/nbd-tools/hotplug -mindepth 1 ! -name lock)
	[[ -z $found ]] || fail "$found"
	found=$(systemctl list-units --plain --no-legend 'nbd-connect@uri*')
	[[ -z $found ]] || fail "$found"
}

# shellcheck disable=SC2016 # nobody shall expand it
hostile_instance_names_end_in_errors() {
	local units
	read -ra units < <(systemd-escape --template=nbd-connect@.service -- ../../etc/passwd \
		'$(touch /canary)' '%n %i')
	expect_status 1 systemctl start "${units[@]}"
	[[ $(systemctl show --value --property=ExecMainStatus -- "${units[@]}") == 2$'\n\n'2$'\n\n'2 ]] ||
		fail "$(systemctl status --no-pager "${units[@]}")"
	[[ ! -e /canary ]] || fail "a command was run"
	systemctl reset-failed
}

loading_the_module_attaches_entries_that_ask() {
	wait_for 30 test -b /dev/nbd/by-name/mod
	expect_property nbd-module.target ActiveState active
	systemctl stop nbd-connect@mod.service || fail "stop"
	[[ ! -L /dev/nbd/by-name/mod ]] || fail "still attached"
}

# By hand

unconnected_devices_have_no_links() {
	! udevadm info -q symlink /dev/nbd9 | grep . || fail "links of /dev/nbd9"
	[[ $(udevadm info -q property /dev/nbd9) != *ID_FS* ]] || fail "/dev/nbd9 was probed"
}

links_and_partitions_come_and_go() {
	local count name names=(/dev/nbd5p1 /dev/nbd/by-name/part{,-part1}
		/dev/disk/by-nbd/127.0.0.1:10812-p{,-part1})
	printf '%s\n' 'uri = nbd://127.0.0.1:10812/p' 'device = nbd5' >/etc/nbd/part.conf
	dd if=/dev/vdb2 of=/run/part.img bs=1M status=none
	nbdkit -P /run/part.pid -i 127.0.0.1 -p 10812 file /run/part.img
	for ((count = 1; count <= rounds; count++)); do
		nbd-connect part >/dev/null || fail "round $count: attach"
		for name in "${names[@]}"; do
			[[ -b $name ]] || fail "round $count: no $name: $(ls -l /dev/nbd/by-name /dev/disk/by-nbd)"
		done
		nbd-disconnect part || fail "round $count: detach"
		for name in "${names[@]}"; do
			[[ ! -e $name && ! -L $name ]] || fail "round $count: $name is still there"
		done
	done
	kill "$(</run/part.pid)"
	rm /etc/nbd/part.conf /run/part.img
}

stop_unmounts_and_detaches() {
	systemctl stop nbd-connect@nbd0.service || fail "stop: $(systemctl status --no-pager nbd-connect@nbd0)"
	! mountpoint /mnt/tcp || fail "still mounted"
	[[ ! -e /sys/block/nbd0/pid ]] || fail "still attached"
	# Its mount does not require it, but knows the order.
	systemctl stop nbd-connect@nbd1.service mnt-unix.mount || fail "stop nbd1"
	! mountpoint /mnt/unix || fail "/mnt/unix is still mounted"
	[[ ! -e /sys/block/nbd1/pid ]] || fail "nbd1 is still attached"
	systemctl stop nbd-loop@disk.service || fail "stop: $(systemctl status --no-pager nbd-loop@disk)"
	! mountpoint /mnt/loop || fail "/mnt/loop is still mounted"
	[[ ! -L /dev/nbd/by-name/disk ]] || fail "the loop device is still there"
	nothing_failed
}

stop_refuses_what_is_mounted_by_hand() {
	systemctl start nbd-connect@nbd0.service || fail "start"
	mkdir -p /mnt/hand
	mount /dev/nbd0 /mnt/hand || fail "mount"
	systemctl stop nbd-connect@nbd0.service
	mountpoint /mnt/hand || fail "unmounted under its user"
	[[ -e /sys/block/nbd0/pid ]] || fail "detached under its user"
	expect_match '/mnt/hand' "$(systemctl status --no-pager nbd-connect@nbd0.service)"
	umount /mnt/hand
	systemctl reset-failed
	nbd-disconnect nbd0 || fail "disconnect"
}

restart_attaches_again() {
	systemctl start nbd-connect@nbd0.service nbd-loop@disk.service || fail "start"
	systemctl restart nbd-connect@nbd0.service || fail "restart: $(systemctl status --no-pager nbd-connect@nbd0)"
	systemctl restart nbd-loop@disk.service || fail "restart: $(systemctl status --no-pager nbd-loop@disk)"
	[[ -e /sys/block/nbd0/pid ]] || fail "not attached"
	[[ -b /dev/nbd/by-name/disk ]] || fail "no loop device"
	nothing_failed
}

# (With a filesystem still mounted: test-systemd-server-away.)
killed_server_is_a_failed_unit() {
	systemctl stop mnt-loop.mount || fail "unmount"
	systemctl kill --signal=KILL nbd-loop@disk.service
	wait_for 20 systemctl is-failed --quiet nbd-loop@disk.service
	expect_property nbd-loop@disk.service Result signal
	systemctl start nbd-loop@disk.service || fail "start: $(systemctl status --no-pager nbd-loop@disk)"
	[[ -b /dev/nbd/by-name/disk ]] || fail "no loop device"
}

images_attach_by_their_path() {
	local unit
	truncate -s 8M '/files/my disk%n.img'
	unit=$(systemd-escape --path --template=nbd-loop@.service '/files/my disk%n.img')
	systemctl start "$unit" || fail "start: $(systemctl status --no-pager "$unit")"
	[[ -b '/dev/disk/by-nbd/file:\x2ffiles\x2fmy\x20disk\x25n.img' ]] || fail "$(ls /dev/disk/by-nbd)"
	systemctl stop "$unit" || fail "stop"
	rm '/files/my disk%n.img'
}

everything_is_mounted_again() {
	systemctl start nbd-connect@nbd0.service nbd-connect@nbd1.service nbd-loop@disk.service
	systemctl start mnt-tcp.mount mnt-unix.mount mnt-loop.mount || fail "$(systemctl --no-pager --failed)"
	for folder in tcp unix loop; do
		dd if=/dev/urandom of="/mnt/$folder/data" bs=1M count=4 status=none || fail "write"
		echo "$folder" >"/mnt/$folder/last"
	done
}

check() {
	step everything_is_mounted
	step mounts_come_in_order
	step loading_the_module_attaches_entries_that_ask
	step no_process_stays_for_an_export
	step unit_of_a_bad_line_says_what_is_bad
	step status_tells_what_is_attached
	step event_attaches_its_export
	step change_keeps_it
	step last_removal_detaches_it
	step hostile_uris_do_nothing
	step hostile_instance_names_end_in_errors
	step unconnected_devices_have_no_links
	step links_and_partitions_come_and_go 700
	step stop_unmounts_and_detaches
	step stop_refuses_what_is_mounted_by_hand
	step restart_attaches_again
	step killed_server_is_a_failed_unit
	step images_attach_by_their_path
	step everything_is_mounted_again
	end_steps
}

# After the machine is off

boot_has_no_ordering_cycles() {
	! grep -i 'ordering cycle' "$JOURNAL" || fail "see above"
}

bad_lines_are_logged() {
	grep 'nbd-tools-generator.*nbdtab:2: ' "$JOURNAL" || fail "line 2"
	grep "nbd-tools-generator.*nbdtab:4: .*persist" "$JOURNAL" || fail "line 4"
}

hostile_uris_are_logged() {
	local i
	for i in 0 1 2 3 4 5 6 7; do
		grep "nbd-udev.*net/bad$i: " "$JOURNAL" || fail "no word of bad$i"
	done
}

shutdown_unmounted_everything() {
	shutdown_log >"$T/shutdown"
	grep 'Reached target.*Unmount All' "$T/shutdown" || fail "the shutdown did not get there"
	! grep -iE 'failed (to )?unmount|nbd-(connect|loop)@.*(Failed with|timed out|Killing)' \
		"$T/shutdown" || fail "see above"
	! grep -E 'nbd[0-9]+: .*(error|timed out)|I/O error|EXT4-fs error' "$T/shutdown" ||
		fail "see above"
}

clean() {
	e2fsck -fn "$1" && [[ $(debugfs -R 'cat /last' "$1" 2>/dev/null) == "$2" ]]
}

filesystems_are_clean() {
	copy_part "$IMAGE" "$T/tcp" "$(part_at 1)"
	copy_part "$IMAGE" "$T/unix" "$(part_at 2)"
	copy_part "$IMAGE" "$T/files" "$(part_at 3)"
	dd if="$T/unix" of="$T/unix1" bs=1M skip=1 status=none
	clean "$T/tcp" tcp || fail "tcp"
	clean "$T/unix1" unix || fail "unix"
	e2fsck -fn "$T/files" || fail "files"
	debugfs -R "dump /disk.img $T/disk.img" "$T/files" 2>/dev/null
	clean "$T/disk.img" loop || fail "disk.img"
}

after() {
	step boot_has_no_ordering_cycles
	step bad_lines_are_logged
	step hostile_uris_are_logged
	step poweroff_is_bounded
	step shutdown_unmounted_everything
	step filesystems_are_clean
	end_steps
}

"$@"
