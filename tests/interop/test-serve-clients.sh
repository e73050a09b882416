#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What clients of all kinds write through nbd-serve is what they read: fio on two exports at a time,
# qemu-img, and nbdcopy with several connections, on IPv4, IPv6 and a Unix socket, with and without TLS.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
random_image source.img 16
truncate -s 16M one.img two.img
chmod 600 "$tls/keys.psk"

# verify URI: fio reads back what it wrote.
verify() {
	fio --name=verify --ioengine=nbd --uri="$1" --rw=randwrite --bsrange=512-64k --size=16M --io_size=16M \
		--iodepth=16 --numjobs=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --fsync=64 \
		>fio.log 2>&1 || fail "$1: $(<fio.log)"
}

# copy URI FILE: FILE is what the export has; both ways.
copy() {
	nbdcopy --connections=4 --flush source.img "$1"
	cmp source.img "$2"
	nbdcopy --connections=4 "$1" back.img
	cmp source.img back.img
}

nbd_serve --listen 127.0.0.1:0 --listen '[::1]:0' --unix nbd.sock one.img two.img
for each in "${uris[@]:1}" "$uri"; do
	if [[ $each == nbd+unix* ]]; then
		other="nbd+unix:///two.img?socket=$socket"
	else
		other=${each}two.img
	fi
	verify "$each" &
	first=$!
	verify "$other"
	wait "$first"
	copy "$each" one.img
	copy "$other" two.img
done
random_image other.img 16
qemu-img convert -n -f raw -O raw other.img "${uris[1]}two.img"
qemu-img compare -f raw -F raw other.img "nbd+unix:///two.img?socket=$socket" >/dev/null
cmp other.img two.img
qemu_io 'write -P 5 0 1M' 'write -z -u 64k 64k' 'discard 128k 64k' flush 'read -P 0 64k 64k' 'read -P 5 0 64k' >/dev/null
end_server

nbd_serve --listen 127.0.0.1:0 --tls-psk="$tls/keys.psk" one.img two.img
for name in one.img two.img; do
	copy "${uris[0]/:\/\//://alice@}$name?tls-psk-file=$tls/keys.psk" "$name"
done
end_server
nbd_serve --listen 127.0.0.1:0 --tls-certificates="$tls/good" --tls-verify-peer one.img two.img
for name in one.img two.img; do
	copy "${uris[0]}$name?tls-certificates=$tls/good" "$name"
done
end_server
