#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# In another network namespace, where the netlink family cannot be found, the ioctl path is taken.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
# shellcheck disable=SC2016 # the inner shell expands it
expect_status 0 unshare -n bash -c 'device=$(nbd-loop disk.img) &&
	dd if=/dev/zero of=$device bs=64k count=1 oflag=direct 2>/dev/null &&
	nbd-list && nbd-loop -d $device'
[[ -z $(nbd-list -n) ]] || fail "still attached"
