# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests in a guest with systemd share; run-systemd tells how they are called.
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
test_name=$(basename "$0" .sh)
test_name=${test_name#test-}
failed_steps=0

# Runs a function as one step of the test, in a process of its own, and tells its result.
step() {
	local name=$1 begin=$SECONDS status
	(T=$(mktemp -d) && "$name") >"/tmp/$name.log" 2>&1
	status=$?
	name=$test_name/${name//_/-}
	if ((status == 0)); then
		echo "ok $name ($((SECONDS - begin)) s)"
	else
		echo "FAIL $name (status $status)"
		sed 's/^/    /' "/tmp/$1.log"
		((failed_steps += 1))
	fi
	rm -f "/tmp/$1.log"
}

end_steps() {
	exit $((failed_steps != 0))
}

# A property of a unit: property nbd-connect@nbd0.service ActiveState
property() {
	systemctl show --value --property="$2" -- "$1"
}

expect_property() {
	local value
	value=$(property "$1" "$2")
	[[ $value == "$3" ]] || fail "$1: $2 is $value, not $3: $(systemctl status --no-pager "$1")"
}

# Monotonic microseconds at which a unit came up.
came_up() {
	property "$1" ActiveEnterTimestampMonotonic
}

expect_order() {
	local earlier later
	earlier=$(came_up "$1")
	later=$(came_up "$2")
	((earlier > 0 && later >= earlier)) || fail "$1 came up at $earlier us, $2 at $later us"
}

# An nbdkit that serves while our services need it: it starts before them, and stops after them.
server_unit() {
	local name=$1
	shift
	cat >"/etc/systemd/system/$name.service" <<-END
		[Unit]
		DefaultDependencies=no
		Before=network-online.target shutdown.target
		Conflicts=shutdown.target
		[Service]
		Type=forking
		PIDFile=/run/$name.pid
		ExecStart=/usr/bin/nbdkit -P /run/$name.pid $*
		[Install]
		WantedBy=network-online.target
	END
}

enable_unit() {
	mkdir -p "/etc/systemd/system/$2.wants"
	ln -s "/etc/systemd/system/$1" "/etc/systemd/system/$2.wants/"
}
