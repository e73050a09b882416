#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client against the library's own server over TLS: all that either has, and what each is told
# when the other is not good enough.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
truncate -s 64M disk.img
x509="nbds+unix:///?socket=$socket&tls-certificates=$tls"
psk="nbds+unix://bob@/?socket=$socket&tls-psk-file=$tls"

check() {
	local wishes
	for wishes in --plain --structured --extended; do
		client_io $wishes "$1" 'write 4096 60000000 3' 'verify 4096 60000000 3' flush \
			'zero 1000000 1000000' 'verify 1000000 1000000 zero' 'trim 0 67108864'
	done
}

serve --tls=require --tls-certificates="$tls/good" --tls-verify-peer disk=disk.img 2>log
check "$x509/good"
expect_refusal "it says: Certificate is required" "$x509/ca-only" facts
expect_refusal "it says: Certificate is required" "$x509/foreign-client" facts
expect_refusal "it says: " "$x509/expired-client" facts
expect_refusal "issuer is unknown" "$x509/other-ca" facts
expect_refusal "requires TLS" "$uri" facts
end_server
grep -q 'expired certificate' log || fail "the server does not say why: $(<log)"

for server in expired wrong-name self-signed; do
	serve --tls=require --tls-certificates="$tls/$server" disk=disk.img
	expect_refusal "The certificate is NOT trusted" "$x509/good" facts
	expect_facts "size=67108864" "$x509/good&tls-verify-peer=0"
	end_server
done

serve --tls=require --tls-psk="$tls/keys.psk" disk=disk.img
check "$psk/keys.psk"
expect_refusal "for this user the same" \
	"nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls/wrong.psk" facts
expect_refusal "or a pre-shared key?" "$x509/good" facts
end_server

serve disk=disk.img
expect_refusal "has no TLS, which was asked for" "$x509/good" facts
end_server
