#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client against the library's own server: all that either has.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 64M disk.img
serve disk=disk.img
for wishes in --plain --structured --extended; do
	client_io $wishes "$uri" 'write 4096 60000000 3' 'verify 4096 60000000 3' flush \
		'zero 1000000 1000000' 'verify 1000000 1000000 zero' 'verify 2000000 1000000 3' \
		'trim 0 67108864'
done
end_server
