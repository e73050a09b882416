#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hundreds of silent clients, clients that die, and more clients than nbd-serve is to have: none of them
# hinders or harms the others, nor makes the server grow without bounds.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image disk.img 8

nbd_serve --listen 127.0.0.1:0 --unix nbd.sock --max-connections 4 disk.img

# 1500 connections that say nothing, or half a handshake, from three processes.
cat >crowd.py <<'END'
import resource, socket, sys, time
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
crowd = []
for i in range(500):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    if i % 2:
        s.send(b"\0\0\0\3IHAVEOPT\0\0\0"[: i % 16])
    crowd.append(s)
open(sys.argv[2], "w").close()
time.sleep(60)
END
for ((i = 0; i < 3; i++)); do
	python3 crowd.py "$socket" "there$i" &
	crowd[i]=$!
done
for ((tries = 0; tries < 400; tries++)); do
	[[ -e there0 && -e there1 && -e there2 ]] && break
	sleep 0.05
done
((tries < 400)) || fail "the crowd did not come"
for ((i = 0; i < 3; i++)); do
	timeout 10 nbdcopy "${uris[1]}" copy.img
	cmp disk.img copy.img
done
threads=$(find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l)
((threads <= 520)) || fail "$threads threads"
kill "${crowd[@]}"
wait "${crowd[@]}" 2>/dev/null || true

# Clients that are killed while they write.
for ((i = 0; i < 4; i++)); do
	timeout -s KILL 0.5 qemu-img bench -c 1000000 -d 16 -s 64k -w -f raw "$uri" >/dev/null 2>&1 || true
done
nbdcopy --connections=4 "$uri" copy.img
cmp disk.img copy.img

# Four have an export; the fifth is refused, and told why, but may look.
for ((i = 0; i < 4; i++)); do
	qemu-io -f raw -c "write -P 65 $((i * 512)) 512" -c 'sleep 60000' "$uri" >/dev/null 2>&1 &
	clients[i]=$!
done
for ((tries = 0; tries < 400; tries++)); do
	cmp -s -n 2048 disk.img <(printf 'A%.0s' {1..2048}) && break
	sleep 0.05
done
((tries < 400)) || fail "the clients did not come"
expect_failure qemu-io -f raw -c 'read 0 512' "$uri" 2>refused
grep -q "no more than 4 clients" refused || fail "$(<refused)"
"$BUILD/bin/nbd-list" --size "$uri" >size || fail "cannot look"
kill "${clients[0]}"
for ((tries = 0; tries < 200; tries++)); do
	qemu-io -f raw -c 'read 0 512' "$uri" >/dev/null 2>&1 && break
	sleep 0.05
done
((tries < 200)) || fail "the place of one that left stays taken"
kill "${clients[@]:1}"
end_server

# With few descriptors clients wait, and it does not spin meanwhile.
rm uris
(
	ulimit -n 40
	exec "$BUILD/bin/nbd-serve" --foreground --unix nbd.sock disk.img >uris
) &
server=$!
for ((tries = 0; tries < 200; tries++)); do
	[[ -s uris ]] && break
	sleep 0.05
done
for ((i = 0; i < 14; i++)); do
	qemu-io -f raw -c 'read 0 512' -c 'sleep 60000' "$uri" >/dev/null 2>&1 &
	clients[i]=$!
done
sleep 2
python3 crowd.py "$socket" there &
crowd[0]=$!
sleep 3
used=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
sleep 2
used=$(($(awk '{ print $14 + $15 }' "/proc/$server/stat") - used))
((used < 60)) || fail "it used $used ticks in two seconds"
kill "${clients[@]}" "${crowd[0]}"
timeout 20 nbdcopy "$uri" copy.img
cmp disk.img copy.img
end_server
