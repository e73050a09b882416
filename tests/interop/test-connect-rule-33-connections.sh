#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rule 33: several connections only where the server says that they see the same, and only if it
# shows the same size and the same flags on each of them.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

# try OPTION…: opens four connections to an export of these properties, and none to the kernel.
try() {
	rm -f count
	serve_by nbdkit -f -U "$socket" eval pread="head -c \$3 /dev/zero" "$@"
	status=0
	"$BUILD/bin/nbd-connect" --dry-run -C 4 -u "$socket" >out 2>err || status=$?
	end_peer
}

# Says yes to the first two connections, and no to the others.
first_two="n=\$(cat $PWD/count || echo 0); echo \$((n + 1)) >$PWD/count; [ \$n -lt 2 ]"

try get_size='echo 1M' can_multi_conn='exit 0'
((status == 0)) || fail "status $status: $(<err)"
grep -q ' 4 connections' out || fail "$(<out)"

try get_size='echo 1M' can_multi_conn='exit 3'
((status == 0)) || fail "status $status: $(<err)"
grep -q ' 1 connections' out || fail "$(<out)"

try get_size="if $first_two; then echo 1M; else echo 2M; fi" can_multi_conn='exit 0'
((status == 1)) || fail "status $status: $(<err)"
grep -q "socket=$socket: shows another size or other flags on connection 3" err || fail "$(<err)"

try get_size='echo 1M' can_multi_conn='exit 0' can_write="$first_two || exit 3" pwrite='cat >/dev/null'
((status == 1)) || fail "status $status: $(<err)"
grep -q 'shows another size or other flags on connection 3' err || fail "$(<err)"
