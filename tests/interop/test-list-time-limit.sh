#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list ends in its time, with a whole document or nothing: a server that stalls or hangs up after
# any number of bytes, drips them, or goes on for ever.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
list=$BUILD/bin/nbd-list
mkdir images
truncate -s 1M images/one images/two

# relayed MODE STEP STATUS… -- OPTION…: each run ends in 6 s, with one of these statuses; what it said is in runs.
relayed() {
	local mode=$1 step=$2 statuses=()
	shift 2
	while [[ $1 != -- ]]; do
		statuses+=("$1")
		shift
	done
	shift
	"$here/stalling-relay" "$mode" "$socket" "$step" 6 "$list" -q -u RELAY "$@" >runs ||
		fail "$mode $*: $(tail -n 1 runs)"
	while read -r status said; do
		[[ " ${statuses[*]} " == *" $status "* ]] || fail "$mode $*: status $status: $said"
	done <runs
	(($(wc -l <runs) > 0))
}

# Each run wrote one JSON document, of exports.
whole_documents() {
	cut -d ' ' -f 2- runs | jq -e 'fromjson | .exports | type == "array"' >/dev/null || fail "$(<runs)"
}

# Each run that failed wrote nothing; the others, one of which there is, the whole.
all_or_nothing() {
	local status said
	while read -r status said; do
		((status == 0)) || [[ $said == '""' ]] || fail "status $status: $said"
		((status != 0)) || jq -e "$1" <<<"$said" >/dev/null || fail "status $status: $said"
	done <runs
}

# The last bytes of all are for a goodbye, which nothing depends on.
serve_by nbdkit -f -U "$socket" file dir=images
relayed close 7 0 1 -- --json
whole_documents
relayed stall 24 0 7 -- --json --timeout=2
whole_documents
# At this pace each answer comes in its time, but not all of them.
relayed drip 0 7 -- --json --timeout=2
whole_documents
end_peer

serve_by nbdkit -f -U "$socket" data '@0x5000 1 @0x100000 2' size=100M
relayed close 7 0 1 -- --map --json
all_or_nothing 'fromjson | map(.length) | add == 104857600'
relayed stall 24 0 7 -- --map --totals --json --timeout=2
all_or_nothing 'fromjson | map(.size) | add == 104857600'
relayed drip 0 7 -- --map --timeout=2
all_or_nothing false
relayed close 7 0 1 -- --size
all_or_nothing '. == "104857600\n"'
relayed stall 24 0 7 -- --size --timeout=2
relayed close 7 0 1 -- --can=df
relayed stall 24 0 1 -- --can=df --timeout=2
end_peer

# In the midst of TLS's handshake and after it.
make_tls_files
serve_by nbdkit -f -U "$socket" --tls=require --tls-psk="$tls/keys.psk" data 1 size=100M
keys=(--tls-psk="$tls/keys.psk" --tls-user=alice)
relayed close 41 0 1 6 -- --json "${keys[@]}"
whole_documents
relayed stall 73 0 7 -- --map --json --timeout=2 "${keys[@]}"
all_or_nothing 'fromjson | map(.length) | add == 104857600'
end_peer

# expect_end SECONDS STATUS OPTION…: no earlier than a second before, and not much later.
expect_end() {
	local wanted=$1 status=0 begin=$SECONDS
	timeout 60 "$list" "${@:3}" -u "$socket" >out 2>said || status=$?
	((status == $2)) || fail "nbd-list ${*:3}: status $status: $(<said)"
	((SECONDS - begin >= wanted - 1 && SECONDS - begin <= wanted + 3)) ||
		fail "nbd-list ${*:3} took $((SECONDS - begin)) s: $(<said)"
}

# Without --timeout too.
serve_by "$here/hostile-lister" "$socket" info_for_ever
kill -STOP "$peer"
expect_end 10 7
kill -CONT "$peer"
end_peer
for mode in map_stalls map_drips; do
	serve_by "$here/hostile-lister" "$socket" "$mode"
	expect_end 2 7 --map --timeout=2
	end_peer
done
serve_by "$here/hostile-lister" "$socket" list_slowly
expect_end 3 7 --json --timeout=3
expect_json '.exports | length > 3 and length < 40' true out
end_peer
