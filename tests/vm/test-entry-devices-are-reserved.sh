#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A device that an entry is bound to is left to it, by nbd-loop and nbd-connect, by netlink and ioctl.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
port=$(unused_port)
start_background nbdkit -f -p "$port" memory 8M
wait_for 20 nbd-list -q "nbd://127.0.0.1:$port"
mkdir -p /etc/nbd
echo "nbd0 127.0.0.1 export port=$port" >/etc/nbdtab
printf '%s\n' "uri = nbd://127.0.0.1:$port/x" 'device = nbd2' >/etc/nbd/two.conf
make_image disk.img 8M
expect_status 0 nbd-loop disk.img
[[ $out == /dev/nbd1 ]] || fail "nbd-loop got $out"
expect_status 0 nbd-connect --ioctl "nbd://127.0.0.1:$port/y"
[[ $out == /dev/nbd3 ]] || fail "nbd-connect got $out"
expect_status 0 nbd-connect nbd0
expect_status 0 nbd-connect two
[[ $out == /dev/nbd2 ]] || fail "the entry got $out"
expect_status 0 nbd-disconnect nbd0 nbd1 nbd2 nbd3
rm -r /etc/nbdtab /etc/nbd
