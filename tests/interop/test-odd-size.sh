#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image whose size is no multiple of anything is served up to the last whole block.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image disk.img 2
truncate -s 1234567 disk.img
serve disk=disk.img
same_text 1234432 "$(nbdinfo --size "$uri")"
nbdcopy "$uri" back.img
cmp <(head -c 1234432 disk.img) back.img
end_server
