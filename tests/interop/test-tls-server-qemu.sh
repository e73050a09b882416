#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# QEMU is let in only with what the server asks for, and does not take a certificate of another name.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 1M disk.img
plain=$qemu_image

check() {
	serve disk=disk.img
	qemu-img info "${qemu_client[@]}" --image-opts "$qemu_image"
	expect_failure qemu-img info --image-opts "$plain"
	[[ $way != x509 ]] || expect_failure qemu-img info "${qemu_client[@]}" \
		--image-opts "${qemu_image/localhost/elsewhere.test}"
	[[ $way != psk ]] || expect_failure qemu-img info --object \
		"tls-creds-psk,id=tls,endpoint=client,dir=$tls,username=mallory" --image-opts "$qemu_image"
	end_server
}

over_ways check x509 psk
