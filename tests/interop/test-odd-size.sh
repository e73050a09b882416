#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image whose size is no multiple of anything, served to the last byte.
. "$(dirname "$0")/common.sh"
random_image disk.img 2
truncate -s 1234567 disk.img
serve --block-size=1 disk=disk.img
[[ $(nbdinfo --size "$uri") == 1234567 ]]
nbdcopy "$uri" back.img
cmp disk.img back.img
end_server
serve disk=disk.img
[[ $(nbdinfo --size "$uri") == 1234432 ]] || fail "not rounded down to 512"
end_server
