#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-serve with several exports: their names, descriptions, the default one, read-only, a part of a file.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
random_image a.img 1
random_image b.img 2
random_image c=d.img 3

# names URI: what the server lists.
names() {
	nbdinfo --json --list "$1" | jq -c '[.exports[]."export-name"]'
}

# size URI
size() {
	nbdinfo --size "$1"
}

# One file: by its name, and for those who name none.
nbd_serve --unix nbd.sock --description "a test" a.img
same_text "$uri" "${uris[0]}"
same_text '["a.img"]' "$(names "$uri")"
nbdcopy "$uri" copy.img
cmp a.img copy.img
nbdcopy "nbd+unix:///a.img?socket=$socket" copy.img
cmp a.img copy.img
expect_failure nbdinfo "nbd+unix:///other?socket=$socket"
nbdinfo --json "$uri" >info
expect_json '.exports[0].description, .exports[0].is_read_only' 'a test false' info
nbd-client -unix "$socket" -l >list
grep -q a.img list
end_server

# Several, of which the first is the default; with --default another. A path may have a '='.
nbd_serve --unix nbd.sock a.img "two=b.img" ./c=d.img
same_text '["a.img","two","c=d.img"]' "$(names "$uri")"
same_text 1048576 "$(size "$uri")"
same_text 1048576 "$(size "nbd+unix:///a.img?socket=$socket")"
same_text 2097152 "$(size "nbd+unix:///two?socket=$socket")"
same_text 3145728 "$(size "nbd+unix:///c%3Dd.img?socket=$socket")"
end_server
nbd_serve --unix nbd.sock --default two a.img "two=b.img" ./c=d.img
same_text '["two","a.img","c=d.img"]' "$(names "$uri")"
same_text 2097152 "$(size "$uri")"
end_server
nbd_serve --unix nbd.sock a.img =b.img
same_text 2097152 "$(size "$uri")"
end_server

# Read-only, as asked for, and all that a file's permissions allow.
nbd_serve --unix nbd.sock --read-only a.img
nbdinfo --is read-only "$uri"
expect_failure qemu-io -f raw -c 'write 0 512' "$uri"
end_server

# A part of a file, and with direct I/O.
nbd_serve --unix nbd.sock --offset 512K --sizelimit 64K --direct-io a.img
same_text 65536 "$(size "$uri")"
nbdcopy "$uri" part.img
cmp part.img <(tail -c +$((512 * 1024 + 1)) a.img | head -c 65536)
end_server

# A name of 4096 bytes of UTF-8.
name=$(printf 'ä%.0s' {1..2048})
nbd_serve --unix nbd.sock "$name=a.img"
same_text "[\"$name\"]" "$(names "$uri")"
end_server
