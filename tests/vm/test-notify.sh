#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# systemd hears when the device can be used, what is waited for, and that it is being detached.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M

# Plays systemd: writes down what it is told, and answers barriers by closing what comes with them.
cat >listen.py <<'END'
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1].replace("@", "\0"))
log = open(sys.argv[2], "a", buffering=1)
log.write("listening\n")
while True:
    text, descriptors, _, _ = socket.recv_fds(listener, 4096, 8)
    log.write(text.decode() + "\n")
    for descriptor in descriptors:
        os.close(descriptor)
END
start_listening() {
	: >"$2"
	start_background python3 listen.py "$1" "$2"
	wait_for 60 grep -q listening "$2"
}
start_listening "$T/notify" heard
start_listening @nbdt-test heard2

# An export: when the command ends, all has been heard.
start_background nbdkit -f -U "$T/socket" memory 4M
wait_for 20 test -S socket
uri="nbd+unix:///?socket=$T/socket"
expect_status 0 env NOTIFY_SOCKET="$T/notify" nbd-connect --foreground --wait=5 \
	"nbd+unix:///?socket=$T/none" "$uri" nbd2
[[ $(<heard) == "listening
READY=1
STATUS=attached $uri to /dev/nbd2
BARRIER=1" ]] || fail "heard: $(<heard)"
expect_status 0 env NOTIFY_SOCKET="@nbdt-test" nbd-connect --foreground --idempotent "$uri"
[[ $(<heard2) == "listening
READY=1
STATUS=was attached to /dev/nbd2 already
BARRIER=1" ]] || fail "heard: $(<heard2)"
expect_status 1 env NOTIFY_SOCKET="$T/notify" nbd-connect --foreground --wait=1 \
	"nbd+unix:///?socket=$T/none"
expect_match '^STATUS=waiting for a server: .*/none: No such file' "$(<heard)"
[[ $(grep -c READY heard) == 1 ]] || fail "ready without a server"
# Only in the foreground, and not if nobody listens.
lines=$(wc -l <heard)
expect_status 0 env NOTIFY_SOCKET="$T/notify" nbd-connect --idempotent "$uri"
expect_status 0 env NOTIFY_SOCKET="$T/nobody" nbd-connect --idempotent --foreground "$uri"
expect_status 0 env NOTIFY_SOCKET= nbd-connect --idempotent --foreground "$uri"
[[ $(wc -l <heard) == "$lines" ]] || fail "heard: $(<heard)"
expect_status 0 nbd-disconnect "$uri"

# An image, with a name that would be a variable of its own, and a mount in the way of its end.
name=$'disk\nMAINPID=1'
mv disk.img "$name"
mkfs.ext4 -q "$name"
: >heard
NOTIFY_SOCKET=$T/notify nbd-loop --foreground "$name" >device 2>said &
pid=$!
wait_for 30 grep -q READY heard
device=$(<device)
expect_match "^STATUS=attached disk\?MAINPID=1 to $device\$" "$(<heard)"
mkdir mnt
mount "$device" mnt
kill -TERM $pid
wait_for 30 grep -q '^STOPPING=1' heard
wait_for 30 grep -q "^STATUS=waiting until it is no longer in use: $device is mounted on $T/mnt" heard
umount mnt
wait $pid || fail "status $?: $(<said)"
expect_match 'BARRIER=1' "$(tail -n 1 heard)"

# An export by ioctl stays as well.
: >heard
NOTIFY_SOCKET=$T/notify nbd-connect --ioctl --foreground "$uri" >device 2>said &
pid=$!
wait_for 30 grep -q READY heard
expect_status 0 nbd-list -n --raw -O PID "$(<device)"
[[ $out == "$pid" ]] || fail "process $out, not $pid"
kill -TERM $pid
wait $pid || fail "status $?: $(<said)"
expect_match '^STATUS=detaching /dev/nbd' "$(<heard)"
[[ -z $(nbd-list -n) ]] || fail "still attached"
