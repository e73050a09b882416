#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# QEMU's dirty bitmaps and allocation depth are contexts of their own, told in one go.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
qemu-img create -q -f qcow2 base.qcow2 64M
qemu-io -f qcow2 -c 'write 8M 1M' base.qcow2 >log
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 disk.qcow2
qemu-img bitmap --add disk.qcow2 first
qemu-io -f qcow2 -c 'write 1M 3M' disk.qcow2 >log
qemu-img bitmap --add disk.qcow2 second
qemu-io -f qcow2 -c 'write 32M 3M' disk.qcow2 >log

check() {
	serve_qemu_nbd -f qcow2 -B first -B second -A -x disk disk.qcow2
	uri=$(uri_of disk)
	same_text $'base:allocation\nqemu:allocation-depth\nqemu:dirty-bitmap:first\nqemu:dirty-bitmap:second' \
		"$(client_io "$uri" contexts | sort)"
	same_text 3 "$(client_io --context qemu: "$uri" contexts | wc -l)"
	client_io --context qemu:dirty-bitmap:second --context base:allocation \
		--context qemu:dirty-bitmap:first --context qemu:allocation-depth "$uri" map >mapped
	same_text 'qemu:dirty-bitmap:second 0 33554432 0
qemu:dirty-bitmap:second 33554432 3145728 1
qemu:dirty-bitmap:second 36700160 30408704 0' "$(grep second mapped)"
	same_text 'qemu:dirty-bitmap:first 0 1048576 0
qemu:dirty-bitmap:first 1048576 3145728 1
qemu:dirty-bitmap:first 4194304 29360128 0
qemu:dirty-bitmap:first 33554432 3145728 1
qemu:dirty-bitmap:first 36700160 30408704 0' "$(grep first mapped)"
	same_text 'qemu:allocation-depth 0 1048576 0
qemu:allocation-depth 1048576 3145728 1
qemu:allocation-depth 4194304 4194304 0
qemu:allocation-depth 8388608 1048576 2
qemu:allocation-depth 9437184 24117248 0
qemu:allocation-depth 33554432 3145728 1
qemu:allocation-depth 36700160 30408704 0' "$(grep depth mapped)"
	same_text 'base:allocation 0 1048576 3
base:allocation 1048576 3145728 0
base:allocation 4194304 4194304 3
base:allocation 8388608 1048576 0
base:allocation 9437184 24117248 3
base:allocation 33554432 3145728 0
base:allocation 36700160 30408704 3' "$(grep base: mapped)"
	same_text 'qemu:dirty-bitmap:first 8388608 16777216 0' \
		"$(client_io --context qemu:dirty-bitmap:first "$uri" 'map 8388608 16777216 one')"
	# "qemu:" is a question, not a context.
	expect_refusal 'no metadata context was selected' --context qemu: "$uri" map
	expect_refusal "no export 'other'" --context base:allocation "$(uri_of other)" map
	end_peer
}

over_all_ways check
