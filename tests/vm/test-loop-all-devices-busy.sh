#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# When every device of the module is taken, the kernel makes a new one; an explicit one works too.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd nbds_max=2
make_image disk.img 1M
for _ in 1 2 3; do
	expect_status 0 nbd-loop -r disk.img
done
# The kernel skips one that udev has open at that moment, and makes another.
expect_match '^/dev/nbd([2-9]|1[0-9])$' "$out"
expect_status 0 nbd-loop -r disk.img /dev/nbd20
expect_match '^/dev/nbd20$' "$out"
expect_status 5 nbd-loop -r disk.img nbd0
expect_match 'already connected' "$err"
expect_status 0 nbd-loop -D
