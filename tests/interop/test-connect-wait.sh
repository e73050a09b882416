#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --wait goes on while nobody answers, says so once, and ends in time or at a signal.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
connect() {
	exec "$BUILD/bin/nbd-connect" --dry-run "$@" >out 2>err
}

# expect_status STATUS PROCESS
expect_status() {
	local status=0
	wait "$2" || status=$?
	((status == $1)) || fail "status $status, not $1: $(<err)"
}

wait_until_it_waits() {
	local tries
	for ((tries = 0; tries < 100; tries++)); do
		grep -qs 'trying again for' err && return
		sleep 0.1
	done
	fail "it does not wait: $(<err)"
}

random_image disk 1
: >err
connect --wait=60 "nbd+unix:///?socket=$PWD/none" "$uri" &
pid=$!
wait_until_it_waits
serve main=disk
expect_status 0 $pid
[[ $(<out) == "$uri: 1048576 bytes"* ]] || fail "out: $(<out)"
[[ $(wc -l <err) == 2 ]] || fail "said more than once: $(<err)"

# A server that answers is not waited for, whatever it answers.
begin=$SECONDS
connect --wait=60 "nbd+unix:///other?socket=$socket" &
expect_status 3 $!
((SECONDS - begin < 30)) || fail "waited for an export"
[[ $(wc -l <err) == 1 ]] || fail "err: $(<err)"
end_server

begin=$SECONDS
connect --wait=2 "$uri" &
expect_status 1 $!
((SECONDS - begin >= 1 && SECONDS - begin < 30)) || fail "took $((SECONDS - begin)) s"
[[ $(wc -l <err) == 2 ]] || fail "err: $(<err)"

: >err
connect --wait=60 "$uri" &
pid=$!
wait_until_it_waits
begin=$SECONDS
kill -TERM $pid
expect_status 143 $pid
((SECONDS - begin < 20)) || fail "the signal took $((SECONDS - begin)) s"
