#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# qemu-img: info, convert in both directions, compare.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image source.img 12
truncate -s 20M source.img
source=driver=raw,file.driver=file,file.filename=source.img

check() {
	rm -f disk.img
	truncate -s 20M disk.img
	serve disk=disk.img
	qemu-img info "${qemu_client[@]}" --image-opts "$qemu_image" >facts
	grep -q 'virtual size: 20 MiB' facts
	qemu-img convert "${qemu_client[@]}" -n --image-opts --target-image-opts "$source" "$qemu_image"
	cmp source.img disk.img
	qemu-img convert "${qemu_client[@]}" --image-opts -O raw "$qemu_image" back.img
	cmp source.img back.img
	qemu-img convert "${qemu_client[@]}" --image-opts -O qcow2 "$qemu_image" back.qcow2
	qemu-img compare back.qcow2 source.img
	qemu-img compare "${qemu_client[@]}" --image-opts "$qemu_image" "$source"
	qemu_io 'write -P 1 15M 512'
	expect_failure qemu-img compare "${qemu_client[@]}" --image-opts "$qemu_image" "$source"
	end_server
}

over_all_ways check
