#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Whatever a server lists, nbd-list ends with a whole document in bounded memory, fit for a terminal.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
list=$BUILD/bin/nbd-list

# against MODE STATUS OPTION…: nbd-list ends so; its output is in out and said. 96 MiB leave room for sanitizers.
against() {
	local mode=$1 wanted=$2 status=0
	shift 2
	serve_by "$here/hostile-lister" "$socket" "$mode"
	python3 -c '
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], timeout=30).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
sys.exit(f"{used} MiB of memory" if used > 96 else status)' \
		"$list" "$@" -u "$socket" >out 2>said || status=$?
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

count='(.exports | length), (.error | sub(".*lists"; "lists"))'
lists list_for_ever 1 "$count" '100000 lists more than 100000 exports'
lists list_long_names 1 '.error, (.exports | length > 1000)' \
	"the server's names and descriptions are too long together true"
lists list_many 0 '(.exports | length), (.exports[2999] | ."export-name", .contexts[])' \
	'3000 export 2999 base:allocation'
lists list_and_die 1 '.protocol, .exports[]."export-name", has("error")' 'newstyle-fixed first true'
lists die_at_info 1 '.exports[] | ."export-name", has("error")' 'first true second true'
lists refuse_second 6 '.exports[] | ."export-name", ."export-size", (.error // "" | sub(".*: "; ""))' \
	'first 1048576  second null not for ?[31myou?'
lists info_for_ever 1 '.exports[] | has("error")' 'true true'
lists contexts_for_ever 1 '.exports[].error | sub(".*lists"; "lists")' \
	'lists more than 100000 metadata contexts lists more than 100000 metadata contexts'
lists contexts_long 1 '.exports[0].error' "the server's names of metadata contexts are too long together"
lists contexts_refused 0 '.exports[] | ."export-size", (.contexts | length)' '1048576 0 1048576 0'
same_text 1 "$(grep -c 'none for you' said)"
lists ugly_names 1 '.exports[] | ."export-name" | @json' \
	'"\u001b]0;title\u0007\n\"export=\"\\" "\\xff\\xfe" "schön"'
expect_lines() {
	same_text "$1" "$(grep -E '^(export=|	description)' out)"
}
expect_lines 'export="\x1b]0;title\x07\x0a"export="\x5c":
	description: \x1b[2J\x9b\xff\x0d\x0anext\x09line\xc2\x9b
export="\xff\xfe":
export="schön":
	description: \xe2\x80\xaegpj.exe'

# A map of more extents than can be kept, and one whose types never repeat.
against map_without_end 1 --map --json --timeout=100
grep -q 'too many extents to be kept: --totals' said
[[ ! -s out ]]
against map_types 1 --map --totals
grep -q 'too many types' said
[[ ! -s out ]]

# What was asked for counts, not what is selected.
against map_other_context 1 --map
grep -q "no metadata context 'base:allocation'" said
against map_context_twice 1 --map
grep -q 'more than once' said
against map_two_contexts 0 --map
same_text '0 1048576 3 hole,zero' "$(awk '{ $1 = $1; print }' out)"
