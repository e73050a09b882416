#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve --user gives up root for good, once what only root may open is open.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
((EUID == 0)) || {
	echo "needs root"
	exit 77
}
uid=$(id -u nobody)
gid=$(id -g nobody)
random_image disk.img 1
make_tls_files
chmod 600 disk.img "$tls/keys.psk"
chmod 755 .
umask 022

# is_nobody PID: in all of its user and group IDs, and in every thread; no capabilities to use or to get.
is_nobody() {
	local status
	for status in "/proc/$1/task"/*/status; do
		same_text "$uid $uid $uid $uid" "$(awk '$1 == "Uid:" { print $2, $3, $4, $5 }' "$status")"
		same_text "$gid $gid $gid $gid" "$(awk '$1 == "Gid:" { print $2, $3, $4, $5 }' "$status")"
		same_text "$(id -G nobody)" "$(awk '$1 == "Groups:" { $1 = ""; print }' "$status" | xargs)"
		for set in CapPrm CapEff CapAmb; do
			same_text 0000000000000000 "$(awk -v set="$set:" '$1 == set { print $2 }' "$status")"
		done
		same_text 1 "$(awk '$1 == "NoNewPrivs:" { print $2 }' "$status")"
	done
}

mkdir run
chown nobody run
nbd_serve --unix run/nbd.sock --pid-file run/pid --user nobody --tls-psk="$tls/keys.psk" disk.img
nbdcopy "nbds+unix://alice@/?socket=$PWD/run/nbd.sock&tls-psk-file=$tls/keys.psk" copy.img
cmp disk.img copy.img
is_nobody "$server"
kill "$server"
wait "$server" || fail "the server left with status $?"
[[ ! -e run/nbd.sock && ! -e run/pid ]] || fail "left behind: $(ls run)"

# With a client there are more threads.
nbd_serve --unix nbd.sock --user nobody disk.img
qemu-io -f raw -c 'write -P 9 0 512' -c 'sleep 60000' "$uri" >/dev/null &
client=$!
for ((tries = 0; tries < 200; tries++)); do
	cmp -s -n 512 disk.img <(head -c 512 /dev/zero | tr '\0' '\11') && break
	sleep 0.05
done
((tries < 200)) || fail "it was not written"
is_nobody "$server"
kill "$client"
kill "$server"
wait "$server" || fail "the server left with status $?"
[[ ! -e nbd.sock ]] || fail "the socket is left"

# Out of root's folder, too, all goes, however the server ends, but nothing that another has put there.
nbd_serve --unix nbd.sock --pid-file pid --user nobody disk.img
kill -KILL "$server"
wait "$server" || true
for ((tries = 0; tries < 200; tries++)); do
	[[ -e nbd.sock || -e pid ]] || break
	sleep 0.05
done
((tries < 200)) || fail "left behind: $(ls)"
nbd_serve --unix nbd.sock --pid-file pid --user nobody disk.img
rm nbd.sock pid
echo 1 >pid
echo precious >nbd.sock
kill "$server"
wait "$server" || fail "the server left with status $?"
same_text "1 precious" "$(cat pid nbd.sock | xargs)"
rm pid nbd.sock

# The command of --run is that user too, and can use the private socket; the folder goes.
# shellcheck disable=SC2016 # expanded there
"$BUILD/bin/nbd-serve" --user nobody --run 'id -u; nbdinfo --size $uri; dirname $unixsocket' disk.img >output
same_text "$uid 1048576" "$(head -n 2 output | xargs)"
[[ ! -e $(tail -n 1 output) ]] || fail "the folder of the socket is left"

# Who is not root cannot become somebody else.
chmod 644 disk.img
cp "$BUILD/bin/nbd-serve" .
status=0
setpriv --reuid nobody --regid nogroup --clear-groups ./nbd-serve --user daemon --unix run/nbd.sock disk.img 2>said || status=$?
[[ $status == 8 && $(<said) == *"cannot become daemon"* && ! -e run/nbd.sock ]] || fail "$status $(<said)"
