# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # the socket is common.sh's
# nbd-list against hostile-lister, in the clear, or over TLS if the arrays lister_tls and list_tls have its files.
here=$(cd "$(dirname "$0")" && pwd)
list=$BUILD/bin/nbd-list
lister_tls=() list_tls=()

# What nbd-list keeps has a limit of 64 MiB. 96 MiB of resident memory leave room for sanitizers; without these,
# what is allocated and never touched counts too, with the libraries.
resident=96
virtual=$((192 << 20))
if grep -q __asan_init "$list"; then
	virtual=-1
	# What was freed shall not count.
	export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=4"
fi

# against MODE STATUS OPTION…: nbd-list ends so; its output is in out and said.
against() {
	local mode=$1 wanted=$2 status=0
	shift 2
	serve_by "$here/hostile-lister" "$socket" "$mode" "${lister_tls[@]}"
	python3 -c '
import resource, subprocess, sys
limits = (int(sys.argv[2]), int(sys.argv[2]))
status = subprocess.run(sys.argv[3:], timeout=30,
    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits)).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
sys.exit(f"{used} MiB of memory" if used > int(sys.argv[1]) else status)' \
		"$resident" "$virtual" "$list" "$@" "${list_tls[@]}" -u "$socket" >out 2>said || status=$?
	end_peer
	((status == wanted)) || fail "$mode: status $status: $(<said)"
}

# lists MODE STATUS FILTER EXPECTED: its JSON is whole, and jq says so of it.
lists() {
	against "$1" "$2" --json
	jq -e . out >/dev/null || fail "$1: no JSON: $(tail -c 200 out)"
	expect_json "$3" "$4" out
	against "$1" "$2"
	if LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' out || grep -q $'\u009b' out; then
		fail "$1: not fit for a terminal: $(head -c 1000 out | cat -v)"
	fi
}
