#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve in the background: it returns with the URIs once it can be reached, with an error's status and
# words if it cannot, and leaves neither socket nor pid file.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image disk.img 1
trap 'kill $(cat pid 2>/dev/null) 2>/dev/null || true' EXIT

# Descriptors that a caller left open do not stay open: the pipe of $(…) ends.
got=$("$BUILD/bin/nbd-serve" --unix nbd.sock --pid-file pid disk.img 2>&1 5>&1)
same_text "$uri" "$got"
server=$(<pid)
nbdcopy "$uri" copy.img
cmp disk.img copy.img
same_text / "$(readlink "/proc/$server/cwd")"
for fd in 0 1 2; do
	same_text /dev/null "$(readlink "/proc/$server/fd/$fd")"
done
kill "$server"
for ((tries = 0; tries < 200; tries++)); do
	kill -0 "$server" 2>/dev/null || break
	sleep 0.05
done
[[ ! -e nbd.sock && ! -e pid ]] || fail "left behind: $(ls)"

refuses 1 "No such file or directory" --unix nbd.sock --pid-file pid nothing.img
refuses 1 "pid: No such file or directory" --unix nbd.sock --pid-file nowhere/pid disk.img
[[ ! -e nbd.sock && ! -e pid ]] || fail "left behind: $(ls)"

# Somebody else's number is not removed.
nbd_serve --unix nbd.sock --pid-file pid disk.img
same_text "$server" "$(<pid)"
echo 1 >pid
end_server
same_text 1 "$(<pid)"
rm pid
