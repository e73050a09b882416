#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbdkit with TLS lets in those clients that it wants, by certificates and pre-shared keys; others are told why not.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
x509="nbds+unix:///?socket=$socket&tls-certificates=$tls"
psk="nbds+unix://bob@/?socket=$socket&tls-psk-file=$tls"

serve_by nbdkit -f -U "$socket" --tls=require --tls-certificates="$tls/good" memory 32M
expect_facts "fixed-newstyle structured=1" "$x509/good"
expect_facts "fixed-newstyle structured=1" "$x509/ca-only"
expect_facts "fixed-newstyle structured=1" "nbds+unix:///?socket=$socket&tls-verify-peer=0"
expect_refusal "requires TLS" "$uri" facts
expect_refusal "issuer is unknown" "$x509/other-ca" facts
expect_refusal "that of 'elsewhere.test'" "$x509/good&tls-hostname=elsewhere.test" facts
expect_refusal "revoked" "$x509/revoked" facts
expect_refusal "has it pre-shared keys" "$psk/keys.psk" facts
end_peer

serve_by nbdkit -f -U "$socket" --tls=require --tls-certificates="$tls/good" --tls-verify-peer \
	memory 32M
expect_facts "fixed-newstyle structured=1" "$x509/good"
for folder in ca-only foreign-client expired-client; do
	expect_refusal "does it want another client certificate" "$x509/$folder" facts
done
end_peer

serve_by nbdkit -f -U "$socket" --tls=require --tls-psk="$tls/keys.psk" memory 32M
expect_facts "fixed-newstyle structured=1" "$psk/keys.psk"
expect_refusal "for this user the same" \
	"nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls/wrong.psk" facts
expect_refusal "no key of the user 'carl'" \
	"nbds+unix://carl@/?socket=$socket&tls-psk-file=$tls/keys.psk" facts
expect_refusal "pre-shared key?" "$x509/good" facts
end_peer

# Who may choose gets what was asked for.
serve_by nbdkit -f -U "$socket" --tls=on --tls-certificates="$tls/good" --filter=tls-fallback \
	memory 32M
expect_facts "size=33554432" "$x509/good"
expect_facts "size=512" "$uri"
end_peer
for mode in --tls=off --oldstyle --mask-handshake=0; do
	serve_by nbdkit -f -U "$socket" "$mode" memory 32M
	expect_refusal "TLS, which was asked for" "$x509/good" facts
	end_peer
done
