#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list -J says of each server the same as nbdinfo --json, in the same names.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
list=$BUILD/bin/nbd-list

# What nbdinfo (1.14) knows too. It leaves out contexts where there are none, and shows how to prove who one is.
known='del(.extended) | .exports |= map(del(.content) | .contexts = (.contexts // []) |
	.uri |= (sub("&tls-.*"; "") | sub("alice@"; "")))'

# same_as_nbdinfo URI [OPTION]…: options of nbdinfo's.
same_as_nbdinfo() {
	nbdinfo --json --no-content "${@:2}" "$1" | jq -S "$known" >theirs
	"$list" -J "$1" | jq -S "$known" >ours
	diff theirs ours || fail "nbdinfo ${*:2} and nbd-list differ on $1"
	[[ $(jq '.exports | length' ours) -gt 0 ]]
}

random_image disk.img 3
truncate -s 5M disk.img

# The plugin's own words come after its name.
on_nbdkit() {
	serve_nbdkit "$@"
	same_as_nbdinfo "$uri"
	end_peer
}

on_nbdkit file disk.img
on_nbdkit --oldstyle file disk.img
on_nbdkit --no-sr file disk.img
on_nbdkit --mask-handshake=0 file disk.img
on_nbdkit -r file disk.img
on_nbdkit --filter=nozero --filter=noextents file disk.img
on_nbdkit eval get_size='echo 4096' pread='exit 1' can_fua='echo none'
on_nbdkit --filter=blocksize-policy file disk.img blocksize-minimum=512 \
	blocksize-preferred=4096 blocksize-maximum=1M

serve_nbdkit memory 1000
same_as_nbdinfo "$uri" --list
end_peer

choose_port
nbdkit -f -i 127.0.0.1 -p "$port" -P pid file disk.img &
for ((i = 0; i < 100; i++)); do
	[[ -s pid ]] && break
	sleep 0.1
done
same_as_nbdinfo "nbd://127.0.0.1:$port/some%20name"
kill "$(<pid)"

qemu-img create -q -f qcow2 disk.qcow2 64M
qemu-img bitmap --add disk.qcow2 first
truncate -s 16M two.img

check() {
	# Several exports with descriptions, one of them not to be had as the default one.
	serve_nbdkit eval get_size='echo 1048576' pread='exit 1' \
		list_exports='printf "NAMES+DESCRIPTIONS\none\nthe first\ntwo\nthe second\n"' \
		default_export='echo one' is_rotational='exit 0' can_cache='echo native' can_flush='exit 0'
	same_as_nbdinfo "$uri" --list
	same_as_nbdinfo "$(uri_of two)"
	end_peer

	serve_qemu_nbd -f qcow2 -B first -A -x disk -D 'a description' disk.qcow2
	same_as_nbdinfo "$uri" --list
	same_as_nbdinfo "$(uri_of disk)"
	end_peer

	serve_storage_daemon \
		--blockdev driver=file,node-name=disk,filename=disk.qcow2,read-only=on \
		--blockdev driver=qcow2,node-name=one,file=disk,read-only=on \
		--blockdev driver=file,node-name=two,filename=two.img \
		--export type=nbd,id=e1,node-name=one,name=first,bitmaps.0=first \
		--export type=nbd,id=e2,node-name=two,name=second,writable=on
	same_as_nbdinfo "$uri" --list
	expect_json '.exports[] | ."export-name", .contexts[], .is_read_only' \
		'first base:allocation qemu:dirty-bitmap:first true second base:allocation false' ours
	end_peer

	serve one=disk.img two=two.img
	same_as_nbdinfo "$uri" --list
	"$list" -J "$uri" >ours
	expect_json '.structured, .extended' 'true true' ours
	end_server
}

over_all_ways check
