#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list --map shows the extents that nbdinfo --map shows, in the same form.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
list=$BUILD/bin/nbd-list

# same_as_nbdinfo URI [CONTEXT]
same_as_nbdinfo() {
	local map=--map${2:+=$2}
	same_text "$(nbdinfo "$map" "$1")" "$("$list" "$map" "$1")"
	same_text "$(nbdinfo "$map" --totals "$1")" "$("$list" "$map" --totals "$1")"
	same_text "$(nbdinfo "$map" --json "$1" | jq -c .)" "$("$list" "$map" -J "$1" | jq -c .)"
	same_text "$(nbdinfo "$map" --totals --json "$1" | jq -c .)" \
		"$("$list" "$map" --totals -J "$1" | jq -c .)"
}

same_on_nbdkit() {
	serve_by nbdkit -f -U "$socket" "$@"
	same_as_nbdinfo "$uri"
	end_peer
}

# expect_failure_with STATUS WORDS OPTION…: nothing on stdout then.
expect_failure_with() {
	local status=0 wanted=$1 words=$2 said
	shift 2
	said=$("$list" "$@" 2>&1 >out) || status=$?
	((status == wanted)) || fail "nbd-list $*: status $status: $said"
	[[ $said == *"$words"* ]] || fail "nbd-list $*: '$said', not '$words'"
	[[ ! -s out ]] || fail "nbd-list $* printed $(<out)"
}

random_image part 1
truncate -s 1T disk.img
dd if=part of=disk.img bs=1M seek=10 conv=notrunc status=none
dd if=part of=disk.img bs=1M seek=1000000 conv=notrunc status=none
same_on_nbdkit file disk.img
same_on_nbdkit --filter=offset file disk.img offset=1M range=1000003
same_on_nbdkit memory 3M
same_on_nbdkit data '@0x5000 1 @0x100000 2' size=100M
same_on_nbdkit --filter=noextents file part
# All four types; what has the same one is merged, wherever requests and replies were cut.
same_on_nbdkit eval get_size='echo 10G' can_extents='exit 0' pread='exit 1' \
	extents='printf "0 65536 hole\n65536 65536 zero\n131072 65536 hole,zero\n196608 3221225472\n3221422080 7516192768 hole,zero\n"'
serve_by nbdkit -f -U "$socket" memory 0
same_text '' "$("$list" --map "$uri")"
same_text '[]' "$("$list" --map -J "$uri" | jq -c .)"
same_text '[]' "$("$list" --map --totals -J "$uri" | jq -c .)"
end_peer

qemu-img create -q -f qcow2 base.qcow2 64M
qemu-io -f qcow2 -c 'write 8M 1M' base.qcow2 >log
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 disk.qcow2
qemu-img bitmap --add disk.qcow2 first
qemu-io -f qcow2 -c 'write 1M 3M' -c 'write -z 20M 1M' disk.qcow2 >log
serve_by qemu-nbd -f qcow2 -B first -A -k "$socket" -t -x disk disk.qcow2
uri="nbd+unix:///disk?socket=$socket"
for context in base:allocation qemu:dirty-bitmap:first qemu:allocation-depth; do
	same_as_nbdinfo "$uri" "$context"
done
expect_failure_with 1 "no metadata context 'qemu:dirty-bitmap:other'" --map=qemu:dirty-bitmap:other "$uri"
expect_failure_with 1 'a namespace, a colon' --map=other "$uri"
expect_failure_with 3 "no export 'none'" --map -J "${uri/disk/none}"
expect_failure_with 2 '--map beside it' --totals "$uri"
expect_failure_with 2 'one of --map' --map --size "$uri"
end_peer
uri="nbd+unix:///?socket=$socket"

serve_by qemu-storage-daemon \
	--blockdev driver=file,node-name=file,filename=disk.qcow2,read-only=on \
	--blockdev driver=qcow2,node-name=one,file=file,read-only=on \
	--blockdev driver=file,node-name=two,filename=part \
	--nbd-server addr.type=unix,addr.path="$socket" \
	--export type=nbd,id=e1,node-name=one,name=first,bitmaps.0=first \
	--export type=nbd,id=e2,node-name=two,name=second
same_as_nbdinfo "nbd+unix:///first?socket=$socket" qemu:dirty-bitmap:first
same_as_nbdinfo "nbd+unix:///second?socket=$socket"
end_peer

make_tls_files
serve_by nbdkit -f -U "$socket" --tls=require --tls-psk="$tls/keys.psk" file disk.img
same_as_nbdinfo "nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls/keys.psk"
end_peer

for options in --no-sr --oldstyle --mask-handshake=0; do
	serve_by nbdkit -f -U "$socket" "$options" memory 1M
	expect_failure_with 1 'without structured replies' --map "$uri"
	end_peer
done
# A server that fails, or ends, in the middle.
# shellcheck disable=SC2016 # expanded by nbdkit's shell
serve_by nbdkit -f -U "$socket" eval get_size='echo 10G' can_extents='exit 0' pread='exit 1' \
	extents='[ $4 -lt 5000000000 ] && { touch '"$PWD"'/asked; echo $4 $3; exit; };  echo EIO no >&2; exit 1'
expect_failure_with 1 'Input/output error' --map -J "$uri"
[[ -e asked ]]
end_peer
serve disk=disk.img
same_as_nbdinfo "$uri"
if "$list" --map "$uri" 2>said >/dev/full; then
	fail "nothing could be written"
fi
grep -q 'standard output' said
status=0
"$list" -J "$uri" 2>said >&- || status=$?
[[ $status == 1 && $(<said) == *"standard output"* ]] || fail "$status $(<said)"
same_text true "$("$list" -J "$uri" | jq .extended)"
end_server
