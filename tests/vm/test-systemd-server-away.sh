#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A machine whose server stays away at boot, comes later, and dies before the machine is powered off
# with its filesystem still mounted.
# vm: init=systemd timeout=400 image=64M
# shellcheck source=tests/vm/systemd-lib.sh
. "$(dirname "$0")/systemd-lib.sh"

before() {
	mkfs.ext4 -q "$IMAGE"
}

prepare() {
	server_unit test-tcp -i 127.0.0.1 file /dev/vdb
	mkdir -p /mnt/tcp /mnt/loop /etc/nbd
	truncate -s 16M /disk.img
	mkfs.ext4 -q /disk.img
	echo "nbd0 127.0.0.1 export _auto" >/etc/nbdtab
	printf '%s\n' 'file = /disk.img' >/etc/nbd/disk.conf
	cat >/etc/fstab <<-END
		/dev/nbd0 /mnt/tcp ext4 _netdev,x-systemd.requires=nbd-connect@nbd0.service
		/dev/nbd/by-name/disk /mnt/loop ext4 noauto,x-systemd.requires=nbd-loop@disk.service
	END
}

# This runs after remote-fs.target has come up, or failed as here.
boot_ends_within_a_bound() {
	local seconds _
	read -r seconds _ </proc/uptime
	((${seconds%.*} < 180)) || fail "$seconds s"
	expect_property nbd-connect@nbd0.service ActiveState failed
	expect_property mnt-tcp.mount ActiveState inactive
	[[ ! -e /sys/block/nbd0/pid ]] || fail "attached to nothing"
}

failure_is_said_once_and_clearly() {
	local lines
	lines=$(journalctl -b --no-pager -o cat -p err -u nbd-connect@nbd0.service |
		grep -c 'Connection refused')
	((lines == 1)) || fail "said $lines times: $(journalctl -b --no-pager -u nbd-connect@nbd0)"
	expect_match '127\.0\.0\.1.*Connection refused' \
		"$(systemctl status --no-pager nbd-connect@nbd0.service)"
}

start_succeeds_later() {
	systemctl start test-tcp.service || fail "server"
	systemctl start mnt-tcp.mount || fail "$(systemctl status --no-pager nbd-connect@nbd0.service)"
	mountpoint /mnt/tcp || fail "not mounted"
	expect_property nbd-connect@nbd0.service ActiveState active
}

# What is not synced now can only be lost, and must hold nobody up.
both_servers_die_under_a_mounted_filesystem() {
	systemctl start mnt-loop.mount || fail "$(systemctl status --no-pager nbd-loop@disk.service)"
	echo safe >/mnt/tcp/safe
	sync -f /mnt/tcp
	echo lost >/mnt/tcp/lost
	echo lost >/mnt/loop/lost
	systemctl kill --signal=KILL test-tcp.service
	systemctl kill --signal=KILL nbd-loop@disk.service
	wait_for 20 systemctl is-failed --quiet nbd-loop@disk.service
	mountpoint /mnt/tcp || fail "unmounted already"
}

check() {
	step boot_ends_within_a_bound
	step failure_is_said_once_and_clearly
	step start_succeeds_later
	step both_servers_die_under_a_mounted_filesystem
	end_steps
}

# No unmount could write the journal back, so e2fsck does that first; nothing else may be amiss.
filesystem_is_whole_once_its_journal_is_replayed() {
	e2fsck -p "$IMAGE" || (($? == 1)) || fail "e2fsck -p"
	e2fsck -fn "$IMAGE" || fail "e2fsck -fn"
	[[ $(debugfs -R 'cat /safe' "$IMAGE" 2>/dev/null) == safe ]] || fail "what was synced is lost"
}

after() {
	step poweroff_is_bounded
	step filesystem_is_whole_once_its_journal_is_replayed
	end_steps
}

"$@"
