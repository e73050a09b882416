#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-client sees the exports; it needs no kernel for that. It has no pre-shared keys.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
PATH=$PATH:/usr/sbin:/sbin
truncate -s 1M one.img
truncate -s 1M two.img

check() {
	local options=()
	[[ $way == plain ]] || options=(-certfile "$tls/good/client-cert.pem" -keyfile "$tls/good/client-key.pem"
		-cacertfile "$tls/good/ca-cert.pem" -tlshostname localhost)
	serve first=one.img second=two.img
	nbd-client -l -unix "$socket" "${options[@]}" >list
	same_text 'first second' "$(grep -v Negotiation list | paste -s -d ' ')"
	end_server
}

over_ways check plain x509
