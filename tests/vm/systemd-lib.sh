# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests in a guest with systemd share; run-systemd tells how they are called.
# shellcheck source=tests/vm/lib.sh
. "$VM/lib.sh"
# These rewrite fstab and much else.
if [[ ${1-} == @(prepare|check) && ! -e /run/nbdt-job/command ]]; then
	fail "only for the guest: tests/vm/run $(basename "$0" .sh)"
fi
test_name=$(basename "$0" .sh)
test_name=${test_name#test-}
failed_steps=0

# Runs a function as one step of the test, in a process of its own, for at most so many seconds, and
# tells its result.
step() {
	local name=$1 limit=${2:-180} begin=$SECONDS status
	[[ ! ${NBDT_GUEST-} ]] || echo "step: $name" >/dev/kmsg
	timeout --kill-after=5 "$limit" bash "$0" "$name" >"$T/step.log" 2>&1
	status=$?
	((status != 124 && status != 137)) || echo "took longer than $limit s" >>"$T/step.log"
	name=$test_name/${name//_/-}
	if ((status == 0)); then
		echo "ok $name ($((SECONDS - begin)) s)"
	else
		echo "FAIL $name (status $status)"
		sed 's/^/    /' "$T/step.log"
		((failed_steps += 1))
	fi
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

# These units have come up, one after the other.
expect_order() {
	local time last=1
	while IFS= read -r time; do
		[[ $time ]] || continue
		((time >= last)) || fail "$*: one came up at $last us, the next at $time us"
		last=$time
	done < <(systemctl show --value --property=ActiveEnterTimestampMonotonic -- "$@")
}

nothing_failed() {
	local failed
	failed=$(systemctl list-units --failed --plain --no-legend)
	[[ -z $failed ]] || fail "$failed"
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
	END
}

enable_unit() {
	mkdir -p "/etc/systemd/system/$2.wants"
	ln -s "/etc/systemd/system/$1" "/etc/systemd/system/$2.wants/"
}

# After the machine is off: the second at which the journal says something for the last time.
second_of() {
	grep -E -- "$1" "$JOURNAL" | tail -n 1 | sed -n 's/^\[ *\([0-9]*\)\..*/\1/p'
}

# What journal and kernel said from the beginning of the shutdown on.
shutdown_log() {
	sed -n '/Stopped target multi-user/,$p' "$JOURNAL"
}

poweroff_is_bounded() {
	local begin end
	begin=$(second_of 'Stopped target multi-user')
	end=$(second_of 'reboot: Power down')
	((begin > 0 && end > 0 && end - begin < 120)) || fail "from '$begin' to '$end'"
}
