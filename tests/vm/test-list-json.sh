#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-list --json is valid for devices and for servers.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
device=$(nbd-loop disk.img) || fail "attach"
nbd-list --json | jq -e ".devices[] | select(.device == \"$device\")
	| .size == 16777216 and .ro == false and .state == \"connected\" and .kind == \"loop\"" \
	|| fail "devices: $(nbd-list --json)"
nbd-loop -l --json | jq -e '.loopdevices[0] | .ro == false and .offset == 0' || fail "loopdevices"
expect_status 0 nbd-loop -d "$device"
nbd-list --json | jq -e '.devices == []' || fail "empty list: $(nbd-list --json)"
