#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several URIs are tried in order: each failure is a warning, the last one the error.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
connect() {
	"$BUILD/bin/nbd-connect" --dry-run "$@" >out 2>err
}
none="nbd+unix:///?socket=$PWD/none"
other="nbd+unix:///other?socket=$socket"

random_image disk 1
serve main=disk
connect "$none" "$other" "$uri" || fail "status $?: $(<err)"
[[ $(<out) == "$uri: 1048576 bytes"* ]] || fail "out: $(<out)"
[[ $(wc -l <err) == 2 ]] || fail "err: $(<err)"
grep -q "none: No such file or directory; trying the next address" err || fail "err: $(<err)"
grep -q "other.*; trying the next address" err || fail "err: $(<err)"

connect "$uri" "$none" || fail "status $?: $(<err)"
[[ ! -s err ]] || fail "err: $(<err)"

# The last failure decides, and what it says is the error.
status=0
connect "$none" "$other" || status=$?
((status == 3)) || fail "status $status: $(<err)"
grep -q "other" <(tail -n 1 err) || fail "err: $(<err)"
status=0
connect --quiet "$other" "$none" || status=$?
((status == 1)) || fail "status $status: $(<err)"
[[ $(<err) == "nbd-connect: cannot connect to $PWD/none: No such file or directory" ]] ||
	fail "err: $(<err)"
end_server

for mixed in "$uri host" "host $uri" "$uri $uri host nbd0" "$uri nbd0 $uri"; do
	status=0
	# shellcheck disable=SC2086 # several words
	connect $mixed || status=$?
	((status == 2)) || fail "$mixed: status $status"
done
