#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve --run: the command's variables, its output and its status, also when a signal ends it.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 1M disk.img

# run STATUS COMMAND [OPTION]…: what the command prints is in the file output.
run() {
	local expected=$1 command=$2 status=0
	shift 2
	"$BUILD/bin/nbd-serve" "$@" --run "$command" disk.img >output || status=$?
	((status == expected)) || fail "status $status, not $expected: $command"
}

# shellcheck disable=SC2016 # expanded there
{
	run 0 'nbdinfo --size "$uri"; echo "$unixsocket"'
	same_text 1048576 "$(head -n 1 output)"
	[[ ! -e $(dirname "$(tail -n 1 output)") ]] || fail "the folder of the socket is left"
	run 0 'nbdinfo --size nbd://127.0.0.1:$port; echo "$unixsocket"' --listen 127.0.0.1:0
	same_text 1048576 "$(paste -s -d ' ' output | xargs)"
	run 0 'echo "$uri $port"' --unix nbd.sock
	same_text "$uri " "$(<output)"
	run 7 'exit 7'
	run 137 'kill -KILL $$'
	# It has nothing of the server's: neither descriptors nor what systemd said, nor blocked signals.
	NOTIFY_SOCKET=/nowhere run 0 'ls -l /proc/self/fd | grep -cE "socket|disk.img|anon";
		echo "$NOTIFY_SOCKET"; grep SigBlk /proc/self/status'
	same_text "0  SigBlk: 0000000000000000" "$(tr '\t\n' '  ' <output | sed 's/ *$//')"
	run 125 true --unix /nonexistent/nbd.sock
	run 125 true --default other
	run 2 true --tls=on
}
[[ ! -e nbd.sock ]] || fail "the socket is left"

# SIGTERM is for the command, and the server follows it.
"$BUILD/bin/nbd-serve" --unix nbd.sock --run 'trap "echo ended; exit 9" TERM; touch ready; sleep 60 & wait' disk.img >output &
server=$!
for ((tries = 0; tries < 200; tries++)); do
	[[ -e ready ]] && break
	sleep 0.05
done
kill -TERM "$server"
status=0
wait "$server" || status=$?
same_text "9 ended" "$status $(<output)"
[[ ! -e nbd.sock ]] || fail "the socket is left"
