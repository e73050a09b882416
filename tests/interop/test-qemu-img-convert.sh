#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# qemu-img: info, convert in both directions, compare.
. "$(dirname "$0")/common.sh"
random_image source.img 20
truncate -s 32M source.img
truncate -s 32M disk.img
serve disk=disk.img
qemu-img info "$uri" | tee info
grep -q 'virtual size: 32 MiB' info
qemu-img convert -n -f raw -O raw source.img "$uri"
cmp source.img disk.img
qemu-img convert -f raw -O qcow2 "$uri" back.qcow2
qemu-img compare back.qcow2 source.img
qemu-img compare -f raw -F raw "$uri" source.img
end_server
