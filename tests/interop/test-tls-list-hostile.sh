#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Over TLS too, nbd-list ends with a whole document in bounded memory, whatever a server lists.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/interop/hostile.sh
. "$(dirname "$0")/hostile.sh"
make_tls_files
# shellcheck disable=SC2034 # for hostile.sh
lister_tls=("$tls/good") list_tls=(--tls-certificates="$tls/good")

lists list_many 0 '.TLS, (.exports | length)' 'true 3000'
lists list_long_names 1 '.error' "the server's names and descriptions are too long together"
lists list_and_die 1 '.TLS, .exports[]."export-name", has("error")' 'true first true'
lists contexts_many 0 '.exports[] | has("error"), (.contexts | length)' 'false 5000 false 5000'
lists lie_about_list 1 '.error | sub(".*protocol: "; "")' 'a reply to LIST of 4294967295 bytes'
against map_without_end 1 --map --json --timeout=100
grep -q 'too many extents to be kept: --totals' said
[[ ! -s out ]]
against map_lies 1 --map --json
grep -q 'it sends more than 2^20 extents' said
