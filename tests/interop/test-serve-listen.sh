#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where nbd-serve listens: TCP over IPv4 and IPv6, several sockets at once, a port that is free, and a Unix
# socket, whose mode, replacement and removal are as they should be.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image disk.img 1

copy_of() {
	nbdcopy "$1" copy.img
	cmp disk.img copy.img
}

nbd_serve --listen 127.0.0.1:0 --listen '[::1]:0' --unix nbd.sock disk.img
[[ ${uris[0]} == "$uri" && ${uris[1]} == nbd://127.0.0.1:*/ && ${uris[2]} == "nbd://[::1]:"*/ ]] || fail "${uris[*]}"
for each in "${uris[@]}"; do
	copy_of "$each"
done
end_server

choose_port
nbd_serve --listen ":$port" disk.img
copy_of "nbd://127.0.0.1:$port"
copy_of "nbd://[::1]:$port"
same_text "nbd://0.0.0.0:$port/ nbd://[::]:$port/" "$(printf '%s\n' "${uris[@]}" | sort | paste -s -d ' ')"
refuses 4 "in use" --listen "127.0.0.1:$port" disk.img
end_server

# By default strangers are kept out. Somebody else may have that port here.
if ! (exec 3<>/dev/tcp/127.0.0.1/10809) 2>/dev/null; then
	nbd_serve disk.img
	for each in "${uris[@]}"; do
		[[ $each == nbd://127.0.0.1/ || $each == "nbd://[::1]/" ]] || fail "$each"
	done
	copy_of nbd://localhost
	end_server
fi

# A socket that is in use is left alone; one that a killed server left is replaced; a file is not.
umask 077
nbd_serve --unix nbd.sock disk.img
same_text 'socket 700' "$(stat -c '%F %a' nbd.sock)"
refuses 4 "in use" --unix nbd.sock disk.img
copy_of "$uri"
kill -KILL "$server"
wait "$server" || true
[[ -S nbd.sock ]]
nbd_serve --unix nbd.sock disk.img
copy_of "$uri"
# Nor does it remove what is not its own.
rm nbd.sock
echo other >nbd.sock
kill "$server"
wait "$server"
same_text other "$(<nbd.sock)"
refuses 4 "in use" --unix nbd.sock disk.img
same_text other "$(<nbd.sock)"
