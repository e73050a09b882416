# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # for the tests
# The ways of a connection: plain, and TLS by certificates (x509), where the server wants the client's too, or
# by pre-shared keys (psk). A test whose peers can have more than one runs its function over them; $way is then
# part of every failure. Of each way there are
#	$uri		the default export on $socket; uri_of NAME prints another one's
#	with_tls	options of nbd-serve and of nbdkit
#	qemu_client	options of qemu-img and qemu-io for $qemu_image, which is $uri as --image-opts have it
#	qemu_server	options of qemu-nbd and qemu-storage-daemon for the credentials "tls"; none over plain
socket=$PWD/nbd.sock

# over_ways FUNCTION WAY…
over_ways() {
	local function=$1 way
	shift
	for way in "$@"; do
		take_way "$way"
		"$function"
	done
	take_way plain
}

over_all_ways() {
	over_ways "$1" plain x509 psk
}

take_way() {
	local credentials
	[[ $1 == plain || ${tls-} ]] || make_tls_files
	with_tls=() qemu_client=() qemu_server=()
	scheme=nbd+unix:// parameters=
	qemu_image=driver=nbd,server.type=unix,server.path=$socket
	case $1 in
	x509)
		scheme=nbds+unix://
		parameters="&tls-certificates=$tls/good"
		with_tls=(--tls=require --tls-certificates="$tls/good" --tls-verify-peer)
		credentials=tls-creds-x509,id=tls,dir=$tls/good
		qemu_server=(--object "$credentials,endpoint=server")
		qemu_client=(--object "$credentials,endpoint=client")
		qemu_image+=,tls-creds=tls,tls-hostname=localhost
		;;
	psk)
		scheme=nbds+unix://alice@
		parameters="&tls-psk-file=$tls/keys.psk"
		with_tls=(--tls=require --tls-psk="$tls/keys.psk")
		credentials=tls-creds-psk,id=tls,dir=$tls
		qemu_server=(--object "$credentials,endpoint=server")
		qemu_client=(--object "$credentials,endpoint=client,username=alice")
		qemu_image+=,tls-creds=tls
		;;
	esac
	uri=$(uri_of '')
}

# uri_of NAME
uri_of() {
	echo "$scheme/$1?socket=$socket$parameters"
}

take_way plain
