#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve --tls: off, on and required, by certificates and by pre-shared keys; clients without a
# certificate where one is demanded, and without TLS where it is required.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
random_image disk.img 1
secure="nbds+unix:///?socket=$socket"
x509="$secure&tls-certificates=$tls/good"
psk="nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls/keys.psk"

# lets_in YES|NO URI: nbdinfo and our own client agree.
lets_in() {
	if [[ $1 == YES ]]; then
		nbdinfo --size "$2" >size
		same_text 1048576 "$(<size)"
		"$BUILD/bin/nbd-list" --size "$2" >size
		same_text 1048576 "$(<size)"
	else
		expect_failure nbdinfo "$2" >/dev/null 2>&1
		expect_failure "$BUILD/bin/nbd-list" "$2" >/dev/null 2>&1
	fi
}

nbd_serve --unix nbd.sock disk.img
lets_in YES "$uri"
lets_in NO "$x509"
end_server

for options in "--tls-certificates=$tls/good" "--tls-psk=$tls/keys.psk"; do
	good=$x509 other=$psk
	[[ $options == *psk* ]] && good=$psk other=$x509
	nbd_serve --unix nbd.sock --tls=on "$options" disk.img
	same_text "$uri" "${uris[0]}"
	lets_in YES "$uri"
	lets_in YES "$good"
	lets_in NO "$other"
	end_server
	# Required, also if only what it needs is given.
	for mode in --tls=require --quiet; do
		nbd_serve --unix nbd.sock "$mode" "$options" disk.img
		same_text "$secure" "${uris[0]}"
		lets_in NO "$uri"
		lets_in YES "$good"
		lets_in NO "$other"
		end_server
	done
done

# Without --tls-verify-peer a client needs no certificate, or one of whomever.
nbd_serve --unix nbd.sock --tls-certificates="$tls/good" disk.img
lets_in YES "$secure&tls-certificates=$tls/ca-only"
end_server
nbd_serve --unix nbd.sock --tls-certificates="$tls/good" --tls-verify-peer disk.img
lets_in YES "$x509"
for client in ca-only expired-client foreign-client; do
	lets_in NO "$secure&tls-certificates=$tls/$client"
done
end_server

nbd_serve --unix nbd.sock --tls-psk="$tls/keys.psk" disk.img
lets_in NO "nbds+unix://alice@/?socket=$socket&tls-psk-file=$tls/wrong.psk"
lets_in NO "nbds+unix://mallory@/?socket=$socket&tls-psk-file=$tls/keys.psk"
end_server

# Over TCP, where the certificate has the host's name; what the command of --run is told.
nbd_serve --listen localhost:0 --tls-certificates="$tls/good" disk.img
[[ ${uris[0]} == nbds://127.0.0.1:*/ ]] || fail "${uris[0]}"
nbdcopy "${uris[0]}?tls-certificates=$tls/good" copy.img
cmp disk.img copy.img
end_server
export tls
# shellcheck disable=SC2016 # expanded there
"$BUILD/bin/nbd-serve" --tls-certificates="$tls/good" \
	--run 'nbdinfo --size "$uri&tls-certificates=$tls/good"' disk.img >size
same_text 1048576 "$(<size)"

# Keys that everybody can read are worth a warning.
chmod 644 "$tls/keys.psk"
nbd_serve --unix nbd.sock --tls-psk="$tls/keys.psk" disk.img
grep -q "everyone can read" said
end_server
