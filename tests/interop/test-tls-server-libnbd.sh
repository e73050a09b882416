#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# libnbd's clients, by certificates and by pre-shared keys: nbdinfo, and nbdcopy both ways over
# several connections.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
random_image source.img 24
x509="nbds+unix:///disk?socket=$socket&tls-certificates=$tls"
psk="nbds+unix://bob@/disk?socket=$socket&tls-psk-file=$tls"

check() {
	nbdinfo --json "$1" >info
	[[ $(jq -c '[.TLS, .structured, .exports[0]["export-size"]]' info) == '[true,true,25165824]' ]] ||
		fail "$(<info)"
	nbdcopy --connections=4 --requests=32 --flush source.img "$1"
	cmp source.img disk.img
	nbdcopy --connections=4 --requests=32 "$1" back.img
	cmp source.img back.img
	nbdcopy --connections=1 --request-size=33554432 "$1" back.img
	cmp source.img back.img
	nbdinfo --map "$1" >extents
	[[ -s extents ]] || fail "no map"
}

new_image() {
	rm -f disk.img back.img
	truncate -s 24M disk.img
}

new_image
serve --tls=require --tls-certificates="$tls/good" --tls-verify-peer disk=disk.img
check "$x509/good"
expect_failure nbdinfo "$x509/ca-only"
expect_failure nbdinfo "$x509/other-ca"
expect_failure nbdinfo "$uri"
end_server

new_image
serve --tls=require --tls-psk="$tls/keys.psk" disk=disk.img
check "$psk/keys.psk"
expect_failure nbdinfo "nbds+unix://alice@/disk?socket=$socket&tls-psk-file=$tls/wrong.psk"
end_server

# Who may choose gets what was asked for.
serve --tls=on --tls-certificates="$tls/good" disk=disk.img
[[ $(nbdinfo --json "$uri" | jq .TLS) == false ]]
[[ $(nbdinfo --json "$x509/ca-only" | jq .TLS) == true ]]
end_server
