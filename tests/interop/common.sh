# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the interop tests: a server, and words for what they expect. The current folder is the test's own.
set -Eeuo pipefail
trap 'echo "${way:+over $way: }${BASH_SOURCE[0]##*/}:$LINENO: status $? of: $BASH_COMMAND" >&2' ERR

# shellcheck source=tests/interop/ways.sh
. "$(dirname "${BASH_SOURCE[0]}")/ways.sh"

# serve [OPTION]… OPERAND…: our server on $socket, in the way that was taken.
serve() {
	nbd_serve "${with_tls[@]}" --unix "$socket" "$@"
}

# nbd_serve [OPTION]… OPERAND…: starts nbd-serve in the foreground; its process is $server, its URIs are
# in the array uris, and what it says goes to the file said.
nbd_serve() {
	rm -f uris
	"$BUILD/bin/nbd-serve" --foreground "$@" >uris 2> >(tee said >&2) &
	server=$!
	local tries
	for ((tries = 0; tries < 200; tries++)); do
		[[ -s uris ]] && break
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	[[ -s uris ]] || fail "nbd-serve did not start"
	# shellcheck disable=SC2034 # for the caller
	mapfile -t uris <uris
}

# refuses STATUS WORDS [OPTION]… OPERAND…: nbd-serve does not start, says why, and leaves nothing.
refuses() {
	local status=$1 words=$2 got=0 output arguments
	shift 2
	arguments=$*
	output=$(timeout 20 "$BUILD/bin/nbd-serve" "$@" 2>&1) || got=$?
	[[ $got == "$status" && $output == *"$words"* ]] ||
		fail "nbd-serve ${arguments:0:200}: status $got, said: $output"
}

# The file of a Unix socket is there a moment before anybody listens on it (flag SO_ACCEPTCON).
is_listening() {
	grep -q " 00010000 .* $1\$" /proc/net/unix
}

# serve_by COMMAND…: starts another server, which makes $socket and stays in the foreground; its process is $peer.
serve_by() {
	"$@" &
	peer=$!
	local tries
	for ((tries = 0; tries < 200; tries++)); do
		is_listening "$socket" && return
		kill -0 "$peer" 2>/dev/null || break
		sleep 0.05
	done
	fail "$1 did not start"
}

serve_nbdkit() {
	serve_by nbdkit -f -U "$socket" "${with_tls[@]}" "$@"
}

serve_qemu_nbd() {
	serve_by qemu-nbd -k "$socket" -t "${qemu_server[@]}" ${qemu_server:+--tls-creds=tls} "$@"
}

serve_storage_daemon() {
	serve_by qemu-storage-daemon "${qemu_server[@]}" \
		--nbd-server "addr.type=unix,addr.path=$socket${qemu_server:+,tls-creds=tls}" "$@"
}

end_peer() {
	kill -TERM "$peer"
	wait "$peer" || true
	rm -f "$socket"
}

# Certificates and keys in the folder $tls: see tests/make-tls-files.
make_tls_files() {
	tls=$PWD/tls
	"$(dirname "$0")/../make-tls-files" "$tls"
}

# shellcheck disable=SC2034 # for the caller
# choose_port: a port of 127.0.0.1 that nobody has, into $port.
choose_port() {
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
}

# client_io [OPTION]… URI COMMAND…
client_io() {
	"$BUILD/interop/client-io" "$@"
}

# expect_refusal WORDS [OPTION]… URI COMMAND…: client-io fails and says so.
expect_refusal() {
	local words=$1 said
	shift
	if said=$(client_io "$@" 2>&1); then
		fail "succeeded, but should not: client-io $*"
	fi
	[[ $said == *"$words"* ]] || fail "client-io $*: said '$said', not '$words'"
}

# expect_facts WORDS [OPTION]… URI: the connection has these properties.
expect_facts() {
	local words=$1 said
	shift
	said=$(client_io "$@" facts)
	[[ $said == *"$words"* ]] || fail "'$said', not '$words'"
}

# same_text EXPECTED ACTUAL
same_text() {
	[[ $1 == "$2" ]] || fail "expected:"$'\n'"$1"$'\n'"but it is:"$'\n'"$2"
}

# Is the disk on which FILE lies, or of which that is a partition, rotational?
is_rotational() {
	local disk
	disk=/sys/dev/block/$(stat -c %Hd:%Ld "$1")
	grep -qs 1 "$disk"/{,../}queue/rotational
}

# expect_json FILTER EXPECTED FILE: what jq gives, in one line.
expect_json() {
	same_text "$2" "$(jq -r "$1" "$3" | paste -s -d ' ')"
}

# Ends the server, which must leave cleanly (sanitizers say here what they found).
end_server() {
	kill -TERM "$server"
	wait "$server" || fail "the server left with status $?"
	[[ ! -e $socket ]] || fail "the server left its socket"
}

fail() {
	echo "${way:+over $way: }$*" >&2
	exit 1
}

# expect_failure COMMAND…
expect_failure() {
	if "$@"; then
		fail "succeeded, but should not: $*"
	fi
}

# random_image FILE MEBIBYTES
random_image() {
	dd if=/dev/urandom of="$1" bs=1M count="$2" status=none
}

# One qemu-io command after another on the default export; each failure, a wrong pattern included, fails the test.
qemu_io() {
	local arguments=() output
	for command in "$@"; do
		arguments+=(-c "$command")
	done
	output=$(qemu-io "${qemu_client[@]}" "${arguments[@]}" --image-opts "$qemu_image" 2>&1) ||
		fail "$output"
	echo "$output"
	if grep -qiE 'fail|error|verification' <<<"$output"; then
		fail "qemu-io: $*"
	fi
}
