#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# QEMU's client, by certificates and by pre-shared keys: info, convert, compare, patterns.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
random_image source.img 16
mkdir psk
cp "$tls/keys.psk" psk
x509="tls-creds-x509,id=tls,endpoint=client,dir=$tls/good"
psk="tls-creds-psk,id=tls,endpoint=client,dir=$PWD/psk,username=alice"
image="driver=nbd,server.type=unix,server.path=$socket,export=disk,tls-creds=tls"

check() {
	local object=$1 target=$2
	qemu-img convert --object "$object" -n -f raw --target-image-opts source.img "$target"
	cmp source.img disk.img
	qemu-img compare --object "$object" --image-opts "driver=raw,file.driver=file,file.filename=source.img" \
		"$target"
	qemu-img map --object "$object" --image-opts "$target" --output=json >map.json
	jq -e 'length > 0' map.json
	qemu-io --object "$object" --image-opts "$target" -c 'write -P 7 -f 4096 1M' -c 'write -z -u 2M 1M' \
		-c 'discard 4M 1M' -c 'flush' -c 'read -P 7 4096 1M' -c 'read -P 0 2M 1M' >log 2>&1 ||
		fail "$(<log)"
	if grep -qiE 'fail|error' log; then
		fail "$(<log)"
	fi
}

truncate -s 16M disk.img
serve --tls=require --tls-certificates="$tls/good" --tls-verify-peer disk=disk.img
check "$x509" "$image,tls-hostname=localhost"
expect_failure qemu-img info --object "$x509" --image-opts "$image,tls-hostname=elsewhere.test"
expect_failure qemu-img info "$uri"
end_server

truncate -s 0 disk.img
truncate -s 16M disk.img
serve --tls=require --tls-psk="$tls/keys.psk" disk=disk.img
check "$psk" "$image"
end_server
