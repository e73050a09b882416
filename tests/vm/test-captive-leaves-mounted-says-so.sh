#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A command that leaves the device mounted: status 4, and it goes when it is unmounted.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 8M
mkdir mnt
# shellcheck disable=SC2016
expect_status 4 nbd-loop disk.img -- sh -c 'mkfs.ext4 -q $NBD_DEVICE && mount $NBD_DEVICE mnt'
expect_match 'mounted on' "$err"
umount mnt
detached() { [[ -z $(nbd-list -n) ]]; }
wait_for 20 detached
