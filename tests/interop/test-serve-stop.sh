#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM to nbd-serve: idle clients are let go at once, a busy one is answered, nobody is let in any more,
# and systemd is told.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 64M disk.img
truncate -s 1M copy.img

# Idle clients, in the transmission phase and before.
nbd_serve --unix nbd.sock disk.img
for ((i = 1; i <= 4; i++)); do
	qemu-io -f raw -c "write -P $i $((i * 4))k 4k" -c 'sleep 60000' "$uri" >/dev/null 2>&1 &
done
python3 - "$socket" >greeting <<'END' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.recv(4).decode(), flush=True)
time.sleep(60)
END
for ((tries = 0; tries < 200; tries++)); do
	grep -q NBDM greeting && cmp -s -n 4096 -i 16384:0 disk.img \
		<(head -c 4096 /dev/zero | tr '\0' '\4') && break
	sleep 0.05
done
((tries < 200)) || fail "the clients did not come so far"
sleep 1
begin=$(date +%s%N)
end_server
took=$((($(date +%s%N) - begin) / 1000000))
((took < 2000)) || fail "it took $took ms"
for ((i = 1; i <= 4; i++)); do
	cmp -n 4096 -i "$((i * 4096)):0" disk.img <(head -c 4096 /dev/zero | tr '\0' "\\$i")
done

# The same over TLS, with one that stays away in the middle of its handshake.
make_tls_files
mkdir psk
cp "$tls/keys.psk" psk
nbd_serve --unix nbd.sock --tls-psk=psk/keys.psk disk.img
qemu-io --object "tls-creds-psk,id=tls,endpoint=client,dir=$PWD/psk,username=alice" --image-opts \
	"driver=nbd,server.type=unix,server.path=$socket,tls-creds=tls" \
	-c 'write -P 9 1M 4k' -c 'sleep 60000' >/dev/null 2>&1 &
python3 - "$socket" >greeting <<'END' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.recv(18)
s.send(b"\0\0\0\3IHAVEOPT\0\0\0\5\0\0\0\0")
print(s.recv(20), flush=True)
time.sleep(60)
END
for ((tries = 0; tries < 200; tries++)); do
	[[ -s greeting ]] && cmp -s -n 4096 -i 1048576:0 disk.img \
		<(head -c 4096 /dev/zero | tr '\0' '\11') && break
	sleep 0.05
done
((tries < 200)) || fail "the clients did not come so far"
begin=$(date +%s%N)
end_server
took=$((($(date +%s%N) - begin) / 1000000))
((took < 2000)) || fail "over TLS it took $took ms"

# A client at work: every write that was answered without an error is there.
nbd_serve --unix nbd.sock disk.img
cat >fio.job <<END
[write]
ioengine=nbd
uri=$uri
rw=write
bs=64k
iodepth=8
size=64M
time_based
runtime=60
END
fio fio.job >fio.log 2>&1 &
fio=$!
for ((tries = 0; tries < 200; tries++)); do
	(($(stat -c %b disk.img) > 1024)) && break
	sleep 0.05
done
((tries < 200)) || fail "fio did not begin: $(<fio.log)"
begin=$(date +%s%N)
end_server
took=$((($(date +%s%N) - begin) / 1000000))
((took < 7000)) || fail "it took $took ms"
wait "$fio" || true
expect_failure nbdinfo "$uri" 2>/dev/null

# What it says to systemd.
python3 - "$PWD/notify.sock" >notified <<'END' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    data, controls, _, _ = s.recvmsg(4096, 4096)
    print(data.decode().replace("\n", " "), flush=True)
    if data.startswith(b"BARRIER"):
        break
END
listener=$!
for ((tries = 0; tries < 200; tries++)); do
	[[ -S notify.sock ]] && break
	sleep 0.05
done
NOTIFY_SOCKET=$PWD/notify.sock nbd_serve --unix nbd.sock disk.img
end_server
wait "$listener"
same_text "READY=1 STATUS=serving 1 export
STOPPING=1 STATUS=letting the clients go
BARRIER=1" "$(<notified)"

# Any of these ends it, unless the caller has ignored it.
for signal in INT QUIT HUP; do
	(
		trap '' INT QUIT HUP
		env --default-signal="$signal" "$BUILD/bin/nbd-serve" --foreground --unix nbd.sock disk.img >uris
	) &
	server=$!
	for ((tries = 0; tries < 200; tries++)); do
		[[ -s uris && -S nbd.sock ]] && break
		sleep 0.05
	done
	inner=$(pgrep -P "$server" || true)
	for ignored in INT QUIT HUP; do
		[[ $ignored == "$signal" ]] || kill "-$ignored" "${inner:-$server}"
	done
	nbdinfo --size "$uri" >/dev/null
	kill "-$signal" "${inner:-$server}"
	wait "$server" || fail "SIG$signal: status $?"
	[[ ! -e nbd.sock ]] || fail "SIG$signal: the socket is left"
done
