#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list --can, --is and --size answer as nbdinfo's do.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
list=$BUILD/bin/nbd-list
truncate -s 1000448 disk.img
abilities=(cache connect df fast-zero flush fua multi-conn read trim write zero structured-reply
	read-only rotational tls)

status_of() {
	local status=0
	"$@" >said 2>&1 || status=$?
	echo $status
}

# same_as_nbdinfo URI
same_as_nbdinfo() {
	local ability
	for ability in "${abilities[@]}"; do
		same_text "$ability $(status_of nbdinfo --can "$ability" "$1")" \
			"$ability $(status_of "$list" --can "$ability" "$1")"
		[[ ! -s said ]] || fail "--can $ability says: $(<said)"
	done
	same_text "$(nbdinfo --size "$1")" "$("$list" --size "$1")"
	same_text "$(nbdinfo --json --size "$1")" "$("$list" --json --size "$1")"
}

# same_on_nbdkit ARGUMENT…: nbdkit's.
same_on_nbdkit() {
	serve_by nbdkit -f -U "$socket" "$@"
	same_as_nbdinfo "$uri"
	same_text 2 "$(status_of "$list" --can=extended-headers "$uri")"
	end_peer
}

same_on_nbdkit file disk.img
same_on_nbdkit -r --no-sr file disk.img
same_on_nbdkit --oldstyle file disk.img
same_on_nbdkit --mask-handshake=0 memory 1M
same_on_nbdkit eval get_size='echo 0' pread='exit 1' is_rotational='exit 0' can_cache='echo native'

serve_by qemu-nbd -f raw -k "$socket" -t -x name disk.img
uri="nbd+unix:///name?socket=$socket"
same_as_nbdinfo "$uri"
# Whatever goes wrong is 1: 2 means no.
same_text 1 "$(status_of "$list" --is=read-only "${uri/name/other}")"
same_text 1 "$(status_of "$list" --can=connect "${uri/name/other}")"
same_text 3 "$(status_of "$list" --size "${uri/name/other}")"
same_text 1 "$(status_of "$list" --is=nothing "$uri")"
same_text 1 "$(status_of "$list" --is=tls --no-such "$uri")"
same_text 1 "$(status_of "$list" --no-such --is=tls "$uri")"
same_text 1 "$(status_of "$list" --is=tls --can=df "$uri")"
same_text 1 "$(status_of "$list" --is=tls)"
same_text 1 "$(status_of "$list" --is=tls --tls=off "nbds+unix:///?socket=$socket")"
same_text 1 "$(status_of "$list" --is=tls -u "$PWD/none")"
same_text 2 "$(status_of "$list" --size --check=nbd0 "$uri")"
same_text 2 "$(status_of "$list" --size nbd0)"
end_peer

make_tls_files
serve --tls=require --tls-certificates="$tls/good" disk=disk.img
uri="nbds+unix:///?socket=$socket&tls-certificates=$tls/good"
for ability in tls extended-headers structured-reply df write; do
	same_text 0 "$(status_of "$list" --is="$ability" "$uri")"
done
same_text 1000448 "$("$list" --size "$uri")"
end_server

# This machine may have devices or none; those that cannot be are the same everywhere.
same_text 2 "$(status_of "$list" --check=nbd65535)"
same_text 2 "$(status_of "$list" --check=/dev/null)"
same_text 2 "$(status_of "$list" --check=nbd0 nbd1)"
same_text 2 "$(status_of "$list" --check)"
for device in /sys/block/nbd*; do
	[[ -e $device ]] || break
	wanted=1
	[[ ! -e $device/pid ]] || wanted=0
	same_text "$wanted" "$(status_of "$list" --check="${device##*/}")"
done
