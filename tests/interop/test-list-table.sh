#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list prints a server's exports as a table too, of the columns asked for.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
list=$BUILD/bin/nbd-list
truncate -s 1536K one.img
truncate -s 2M two.img

# expect EXPECTED OPTION…: the table, with single blanks.
expect() {
	same_text "$1" "$("$list" "${@:2}" -u "$socket" | sed 's/  */ /g; s/^ //; s/ $//')"
}

serve --description='test images' one=one.img two=two.img
expect $'NAME SIZE RO\none 1.5M 0\ntwo 2M 0' -O NAME,size,ro
expect $'one 1572864\ntwo 2097152' -n --bytes -O NAME,SIZE
expect $'DESCRIPTION\ntest\\x20images\ntest\\x20images' --raw -O DESCRIPTION
expect 'base:allocation 1B 4K 32M' -n -N one -O CONTEXTS,MIN-BLOCK,PREF-BLOCK,MAX-BLOCK
"$list" -J --output-all -u "$socket" >out
expect_json '.exports[1] | .name, .size, .ro, .fua, ."multi-conn", .error, .uri' \
	"two 2097152 false true true null nbd+unix:///two?socket=$socket" out
# The flags stand under their own names.
"$list" -J -u "$socket" >facts
same_text "$(jq -c '.exports[0] | to_entries | map(select(.value | type == "boolean").value)' facts)" \
	"$(jq -c '.exports[0] | [.rota, .ro, .cache, .df, ."fast-zero", .flush, .fua, ."multi-conn", .trim, .zero]' out)"
status=0
"$list" -O NAME,NOTHING -u "$socket" 2>said || status=$?
((status == 2)) && grep -q 'unknown column: NOTHING' said
status=0
"$list" --map -O NAME -u "$socket" 2>said || status=$?
((status == 2)) && grep -q 'only --json goes with --map' said
status=0
"$list" -N three -J -O NAME,SIZE,ERROR -u "$socket" >out || status=$?
((status == 3))
expect_json '.exports[0] | .name, .size, (.error | sub(".*has"; "has"))' "three null has no export 'three': there is no export of this name" out
end_server

# Flags that not every server has stand in their own columns.
serve_by nbdkit -f -r -U "$socket" eval get_size='echo 512' pread='exit 1' is_rotational='exit 3' can_cache='echo none'
expect '0 1 0 1 0' -n -O ROTA,RO,CACHE,DF,ZERO
end_peer
serve_by "$here/hostile-lister" "$socket" list_for_ever
"$list" -J -O NAME,ERROR -u "$socket" >out 2>said && fail "it came to an end"
expect_json '(.exports | length), .exports[0].name, (.exports[99999].error | sub(".*lists"; "lists"))' \
	'100000 0 lists more than 100000 exports' out
end_peer
