#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The units that nbd-serve(8) has as an example: the first client starts the server, which is an
# unprivileged user's; the sockets outlive it.
# vm: init=systemd timeout=300
# shellcheck source=tests/vm/systemd-lib.sh
. "$(dirname "$0")/systemd-lib.sh"
page=$VM/../../cmd/nbd-serve.8

# The lines of the example that is for this file, as it is for this machine.
example() {
	sed 's,\\-,-,g' "$page" | sed -n "\\,^# $1\$,,/^\\(\\.Ed\\)\\?\$/p" | grep -v '^\.Ed' |
		sed 's,/usr/local/sbin,/usr/sbin,; s,User=nbd,User=daemon,'
}

before() {
	:
}

prepare() {
	local unit
	mkdir -p /srv
	truncate -s 16M /srv/data.img
	chown daemon /srv/data.img
	for unit in /etc/systemd/system/nbd-serve.{socket,service}; do
		# shellcheck disable=SC2094 # the first is a name
		example "$unit" >"$unit"
		[[ $(grep -c = "$unit") -ge 3 ]] || fail "no example of $unit: $(<"$unit")"
	done
}

first_client_starts_it() {
	local uri
	systemctl start nbd-serve.socket || fail "$(systemctl status --no-pager nbd-serve.socket)"
	expect_property nbd-serve.service ActiveState inactive
	for uri in nbd://localhost nbd://localhost/data 'nbd+unix:///?socket=/run/nbd-serve.sock'; do
		[[ $(nbd-list --size "$uri") == 16777216 ]] || fail "$uri"
	done
	expect_property nbd-serve.service ActiveState active
	expect_property nbd-serve.service StatusText "serving 1 export"
	[[ $(ps -o user= -p "$(property nbd-serve.service MainPID)") == daemon ]] || fail "another user"
}

journal_says_who_was_not_served() {
	exec 3<>/dev/tcp/127.0.0.1/10809
	echo "GET / HTTP/1.0" >&3
	cat <&3 >/dev/null 2>&1
	wait_for 20 said_in_the_journal
}

said_in_the_journal() {
	journalctl -b --no-pager -o cat -u nbd-serve.service |
		grep -E '^127\.0\.0\.1:[0-9]+: the client broke the protocol'
}

only_root_may_use_the_unix_socket() {
	[[ $(stat -c %a /run/nbd-serve.sock) == 600 ]] || fail "$(ls -l /run/nbd-serve.sock)"
}

sockets_outlive_it() {
	systemctl stop nbd-serve.service 2>/dev/null || fail "stop"
	expect_property nbd-serve.service Result success
	expect_property nbd-serve.socket ActiveState active
	[[ $(nbd-list --size nbd://localhost) == 16777216 ]] || fail "it is not started again"
	expect_property nbd-serve.service ActiveState active
}

check() {
	step first_client_starts_it
	step journal_says_who_was_not_served
	step only_root_may_use_the_unix_socket
	step sockets_outlive_it
	nothing_failed
	end_steps
}

after() {
	poweroff_is_bounded
}

"$@"
