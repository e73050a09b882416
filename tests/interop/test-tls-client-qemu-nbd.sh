#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client against qemu-nbd with TLS, which asks for the client's certificate.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
truncate -s 32M disk.img
x509="nbds+unix:///?socket=$socket&tls-certificates=$tls"

serve_by qemu-nbd -f raw -k "$socket" -t --tls-creds tls0 \
	--object "tls-creds-x509,id=tls0,endpoint=server,dir=$tls/good,verify-peer=on" disk.img
expect_facts "fixed-newstyle structured=1 extended=0 size=33554432" "$x509/good"
client_io "$x509/good" 'write 4096 20000000 3' 'verify 4096 20000000 3' 'trim 0 4194304' flush
client_io --context base:allocation "$x509/good" map >extents
grep -q '^base:allocation 0 ' extents
expect_refusal "TLS" "$x509/ca-only" facts
expect_refusal "requires TLS" "$uri" facts
end_peer

# QEMU's keys are in a folder too, in a file of this name.
mkdir psk
cp "$tls/keys.psk" psk/keys.psk
serve_by qemu-nbd -f raw -k "$socket" -t --tls-creds tls0 \
	--object "tls-creds-psk,id=tls0,endpoint=server,dir=$PWD/psk" disk.img
psk="nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls"
client_io "$psk/keys.psk" 'verify 8388608 10000000 3' 'write 5000000 3000000 4' \
	'verify 5000000 3000000 4'
expect_refusal "for this user the same" "$psk/wrong.psk" facts
end_peer
