#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What client and server tell each other when one is not good enough for the other.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
truncate -s 64M disk.img
x509="nbds+unix:///?socket=$socket&tls-certificates=$tls"
psk="nbds+unix://bob@/?socket=$socket&tls-psk-file=$tls"

serve --tls=require --tls-certificates="$tls/good" --tls-verify-peer --verbose disk=disk.img
expect_facts size=67108864 "$x509/good"
expect_refusal "it says: Certificate is required" "$x509/ca-only" facts
expect_refusal "it says: Certificate is required" "$x509/foreign-client" facts
expect_refusal "it says: " "$x509/expired-client" facts
expect_refusal "issuer is unknown" "$x509/other-ca" facts
expect_refusal "requires TLS" "$uri" facts
for ((tries = 0; tries < 200; tries++)); do
	grep -q 'expired certificate' said && break
	sleep 0.05
done
((tries < 200)) || fail "the server does not say why: $(<said)"
end_server

for server in expired wrong-name self-signed; do
	serve --tls=require --tls-certificates="$tls/$server" disk=disk.img
	expect_refusal "The certificate is NOT trusted" "$x509/good" facts
	expect_facts "size=67108864" "$x509/good&tls-verify-peer=0"
	end_server
done

serve --tls=require --tls-psk="$tls/keys.psk" disk=disk.img
expect_facts size=67108864 "$psk/keys.psk"
expect_refusal "for this user the same" \
	"nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls/wrong.psk" facts
expect_refusal "or a pre-shared key?" "$x509/good" facts
end_server

serve disk=disk.img
expect_refusal "has no TLS, which was asked for" "$x509/good" facts
end_server
