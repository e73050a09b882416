#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Entries of nbdtab and /etc/nbd, in a /etc of their own: which addresses and options they stand
# for, and that what is wrong with them is said with file and line.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
if [[ ${1-} != inside ]]; then
	user=()
	((EUID == 0)) || user=(--user --map-root-user)
	unshare "${user[@]}" --mount true 2>/dev/null || { echo "no mount namespaces here" && exit 77; }
	exec unshare "${user[@]}" --mount bash "$0" inside
fi
mount -t tmpfs etc /etc
mkdir /etc/nbd

# expect STATUS COMMAND OPERAND…: what it says is in the files out and err.
expect() {
	local status=0
	"$BUILD/bin/$2" "${@:3}" >out 2>err || status=$?
	((status == $1)) || fail "$*: status $status, out: $(<out), err: $(<err)"
}
expect_out() {
	grep -qE -- "$1" out || fail "out: $(<out), err: $(<err)"
}
expect_err() {
	grep -qE -- "$1" err || fail "err: $(<err)"
	grep -q 'Try ' err && fail "no command line is to blame: $(<err)"
	return 0
}

random_image disk 1
serve main=disk
cat >/etc/nbdtab <<END
nbd0 $socket main bs=4096,conns=2,unix,_netdev
nbd1 $socket main bs=77,unix
nbd2 host export tls
END
printf '%s\n' "uri = nbd+unix:///?socket=/none" "uri = $uri" "read-only = yes" >/etc/nbd/my-disk.conf
printf '%s\n' "file = /none" >/etc/nbd/image.conf
printf '%s\n' "file = /none" "sector-size = 77" >/etc/nbd/bad.conf
ln -s my-disk.conf /etc/nbd/127.0.0.1.conf

expect 0 nbd-connect --dry-run nbd0
expect_out 'blocks of 4096, .* 2 connections$'
expect 0 nbd-connect --dry-run --entry=nbd0
expect 0 nbd-connect -b 512 --dry-run /dev/nbd0
expect_out 'blocks of 512'
expect 0 nbd-connect --dry-run my-disk
expect_out "socket=$socket: 1048576 bytes"
expect_err '/none: No such file .*; trying the next address'
expect 0 nbd-connect --dry-run --quiet --entry=my/disk nbd5
expect 0 nbd-connect --dry-run 127.0.0.1
expect 6 nbd-connect --dry-run 127.0.0.2:1
expect 3 nbd-connect --dry-run --entry=127.0.0.2
expect_err '127.0.0.2: .*/etc/nbdtab'
expect 3 nbd-connect --dry-run nbd9

# What is wrong with an entry.
expect 2 nbd-connect --dry-run nbd1
expect_err '^nbd-connect: /etc/nbdtab:2: block size 77: must be'
expect 2 nbd-connect --dry-run nbd2
expect_err '^nbd-connect: /etc/nbdtab:3: .*tls'
expect 2 nbd-connect --entry=bad
expect_err '^nbd-loop: /etc/nbd/bad.conf: block size 77: must be'

# Image files are nbd-loop's.
expect 1 nbd-connect --foreground --idempotent --wait=5 --verbose image nbd3
expect_err '^nbd-loop: .*/none: No such file'
expect 1 nbd-loop --entry=image
expect 2 nbd-connect --block-size=512 image
expect 2 nbd-loop --entry=my-disk
expect 2 nbd-loop --entry=image disk
expect 2 nbd-loop --entry=image -d

# No name leads anywhere else.
printf -v long '%4096s' ''
# shellcheck disable=SC2016 # nobody shall expand that
for name in '' . .. ../nbd/my-disk /etc/nbd/my-disk my-disk.conf/ -my-disk --help 'my disk' \
	"my-disk'" 'my"disk' '%n%s' 'my-disk%' $'my-disk\n' $'\e[31m' ' my-disk' "${long// /x}" '$(id)'; do
	for command in "nbd-connect --dry-run" nbd-loop nbd-disconnect; do
		status=0
		# shellcheck disable=SC2086 # two words
		"$BUILD/bin/"$command --entry="$name" >out 2>err || status=$?
		[[ $status == [23] && ! -s out ]] || fail "$command '$name': status $status, $(<err)"
		[[ $(<err) != *$'\e'* && $(wc -c <err) -lt 300 ]] || fail "$command '$name': $(<err)"
	done
done
expect 2 nbd-connect --dry-run --entry=nbd0 "$uri"
expect 2 nbd-connect --dry-run --entry=nbd0 -u "$socket"
expect 2 nbd-connect -d --entry=nbd0 nbd0
end_server
