#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Over TCP, the certificate must have the host's name or address as the URI has it.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
make_tls_files
choose_port
nbdkit -f -i 127.0.0.1 -p "$port" -P pid --tls=require --tls-certificates="$tls/good" memory 8M &
peer=$!
for _ in {1..200}; do
	[[ -s pid ]] && break
	sleep 0.05
done
parameters="tls-certificates=$tls/good"
for host in localhost 127.0.0.1; do
	expect_facts "size=8388608" "nbds://$host:$port/?$parameters"
done
expect_refusal "that of '127.1'" "nbds://127.1:$port/?$parameters" facts
expect_facts "size=8388608" "nbds://127.1:$port/?$parameters&tls-hostname=nbd.test"
end_peer
