#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Without the module, and no way to load it: a clear error; listing shows nothing and is fine.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
unload_nbd
mount --bind /dev/null /sbin/modprobe 2>/dev/null || mount --bind /dev/null /usr/sbin/modprobe
make_image disk.img 1M
expect_status 0 nbd-list
[[ -z $out ]] || fail "listed $out"
expect_status 3 nbd-loop disk.img
expect_match 'nbd.*(driver|module)' "$err"
umount /sbin/modprobe 2>/dev/null || umount /usr/sbin/modprobe
expect_status 0 nbd-loop disk.img
expect_status 0 nbd-loop -d "$out"
