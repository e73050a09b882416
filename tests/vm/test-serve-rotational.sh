#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ROTATIONAL is what the kernel says of the disk that is served, or that a file lies on.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
need nbdinfo
make_image /ext4/disk.img 1M
make_image disk.img 1M
known=$(</sys/block/vda/queue/rotational)
trap 'echo "$known" >/sys/block/vda/queue/rotational; rm -f /ext4/disk.img' EXIT

# expect_rotational STATUS FILE: 0 if it is, 2 if not, as nbdinfo says it.
expect_rotational() {
	# shellcheck disable=SC2016 # nbd-serve has the shell set it
	expect_status "$1" nbd-serve -r --force --unix "$T/socket" --run 'nbdinfo --is rotational "$uri"' "$2"
}

echo 1 >/sys/block/vda/queue/rotational
expect_rotational 0 /dev/vda
expect_rotational 0 /ext4/disk.img
expect_rotational 2 disk.img
echo 0 >/sys/block/vda/queue/rotational
expect_rotational 2 /dev/vda
expect_rotational 2 /ext4/disk.img
