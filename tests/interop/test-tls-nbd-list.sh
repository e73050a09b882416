#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list's options of TLS, what it says with it and when it fails; nbd-connect's refusal.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
truncate -s 1M one.img
truncate -s 2M two.img
list=$BUILD/bin/nbd-list
x509="nbds+unix:///?socket=$socket&tls-certificates=$tls"

# expect STATUS WORDS OPTION…: nbd-list ends so, and says so.
expect() {
	local status=0 wanted=$1 words=$2 said
	shift 2
	said=$("$list" "$@" 2>&1) || status=$?
	((status == wanted)) || fail "nbd-list $*: status $status: $said"
	[[ $said == *"$words"* ]] || fail "nbd-list $*: '$said', not '$words'"
}

# expect_tls OPTION…: both exports are listed, encrypted.
expect_tls() {
	local said
	said=$("$list" -J "$@" | jq -c '[.TLS, [.exports[]["export-size"]], .exports[0].uri]')
	[[ $said == '[true,[1048576,2097152],"nbds+unix:///one?socket='* ]] || fail "nbd-list $*: $said"
}

serve --tls=require --tls-certificates="$tls/good" --tls-verify-peer one=one.img two=two.img
expect_tls "$x509/good"
expect_tls -u "$socket" --tls=require --tls-certificates="$tls/good"
expect_tls -u "$socket" --tls-certificates="$tls/good" --tls-hostname=nbd.test
expect_tls --tls-certificates="$tls/good" "$x509/other-ca"
expect 0 "protocol: newstyle-fixed with TLS" "$x509/good"
expect 6 "requires TLS: ask for it by nbds instead of nbd" -u "$socket"
expect 1 "that of 'elsewhere.test'" "$x509/good" --tls-hostname=elsewhere.test
expect 1 "issuer is unknown" "$x509/other-ca"
expect 1 "it says: Certificate is required" "$x509/ca-only"
expect 1 "it says: Certificate is required" "$x509/ca-only" --tls-verify=off
expect 2 "an option or the address asks for TLS" "$x509/good" --tls=off
expect 2 "an option or the address asks for TLS" -u "$socket" --tls=off --tls-psk="$tls/keys.psk"
expect 2 "neither require nor off: on" -u "$socket" --tls=on
expect 2 "neither on nor off: no" -u "$socket" --tls-verify=no
expect 2 "for a server" --tls=require nbd0
expect 1 "not by both" "$x509/good" --tls-psk="$tls/keys.psk"
expect 1 "write nbds instead of nbd" "nbd+unix:///?socket=$socket&tls-hostname=x"
end_server

serve --tls=on --tls-psk="$tls/keys.psk" one=one.img two=two.img
expect_tls "nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls/keys.psk"
expect_tls -u "$socket" --tls-psk="$tls/keys.psk" --tls-user=bob
expect 0 "without TLS" -u "$socket"
expect 0 "without TLS" -u "$socket" --tls=off
expect 6 "for this user the same" -u "$socket" --tls-psk="$tls/wrong.psk" --tls-user=alice
expect 1 "no key of the user 'carl'" -u "$socket" --tls-psk="$tls/keys.psk" --tls-user=carl
chmod o+r "$tls/keys.psk"
expect 0 "everyone can read these keys" -u "$socket" --tls-psk="$tls/keys.psk" --tls-user=bob
end_server

serve one=one.img
expect 6 "has no TLS, which was asked for" -u "$socket" --tls=require --tls-verify=off
if "$BUILD/bin/nbd-connect" --dry-run "$x509/good" 2>said; then
	fail "nbd-connect takes nbds"
fi
grep -q 'TLS in the kernel is not built yet' said
end_server
