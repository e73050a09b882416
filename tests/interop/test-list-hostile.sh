#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Whatever a server lists, nbd-list ends with a whole document in bounded memory, fit for a terminal.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/interop/hostile.sh
. "$(dirname "$0")/hostile.sh"

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
lists contexts_many 0 '.exports[] | has("error"), (.contexts | length)' 'false 5000 false 5000'
lists lie_about_list 1 '.error | sub(".*protocol: "; "")' 'a reply to LIST of 4294967295 bytes'
lists lie_about_info 1 '.exports[0].error | sub(".*protocol: "; "")' 'a reply to INFO of 4294967295 bytes'
lists lie_about_contexts 1 '.exports[0].error | sub(".*protocol: "; "")' \
	'a reply to LIST_META_CONTEXT of 4294967295 bytes'
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
against map_lies 1 --map --json
grep -q 'it sends more than 2^20 extents' said
[[ ! -s out ]]

# What was asked for counts, not what is selected.
against map_other_context 1 --map
grep -q "no metadata context 'base:allocation'" said
against map_context_twice 1 --map
grep -q 'more than once' said
against map_two_contexts 0 --map
same_text '0 1048576 3 hole,zero' "$(awk '{ $1 = $1; print }' out)"
