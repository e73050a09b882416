#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients over the limit wait for their turn, and get it.
. "$(dirname "$0")/common.sh"
random_image disk.img 4
serve --connections-limit=1 disk=disk.img
for ((i = 0; i < 4; i++)); do
	nbdcopy --connections=1 "$uri" "back$i.img" &
	clients[i]=$!
done
for ((i = 0; i < 4; i++)); do
	wait "${clients[i]}"
	cmp disk.img "back$i.img"
done
end_server
