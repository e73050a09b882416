#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rules 24, 25 and 28: the server's minimal block becomes the device's; what the kernel cannot keep,
# or nobody could mean, is refused.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

# try MINIMUM PREFERRED MAXIMUM [SIZE [OPTION…]]: asks what nbd-connect would make of it.
try() {
	local sizes="echo $1 $2 $3" size=${4:-1M}
	shift "$(($# < 4 ? $# : 4))"
	serve_by nbdkit -f -U "$socket" eval pread="head -c \$3 /dev/zero" get_size="echo $size" \
		block_size="$sizes"
	status=0
	"$BUILD/bin/nbd-connect" --dry-run "$@" -u "$socket" >out 2>err || status=$?
	end_peer
}

# expect_blocks SIZE
expect_blocks() {
	((status == 0)) || fail "status $status: $(<err)"
	grep -q " blocks of $1," out || fail "not blocks of $1: $(<out)"
}

# expect_words WORDS
expect_words() {
	((status == 1)) || fail "status $status: $(<out) $(<err)"
	grep -q "$socket: .*$1" err || fail "not '$1': $(<err)"
}

page=$(getconf PAGESIZE)
try 1 4K 32M
expect_blocks 512
try 4K 4K 32M
expect_blocks 4096
try 4K 4K 32M 1M -b 512
expect_words "takes no blocks of 512 bytes, its minimum is 4096"
try 64K 64K 32M
expect_words "minimum block of 65536 bytes is more than this kernel's page of $page"
try 1 512 1K
expect_words "takes at most 1024 bytes at a time"
try 4K 4K 32M 1000
expect_words "has 1000 bytes, less than one block of 4096"
