#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --no-optgo: the export is chosen by NBD_OPT_EXPORT_NAME alone, on each connection.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
uri="nbd+unix:///only?socket=$socket"
serve_by nbdkit -f -v -U "$socket" --filter=blocksize-policy --filter=exportname memory 64M \
	blocksize-minimum=4096 blocksize-preferred=4096 blocksize-maximum=32M \
	exportname=only exportname-strict=true 2>server-log

# count OPTION: how often clients have chosen an export by it.
count() {
	grep -c "NBD_OPT_$1: client requested export" server-log || true
}

"$BUILD/bin/nbd-connect" --dry-run -C 2 "$uri" >out || fail "$(grep -o "NBD_OPT.*" server-log)"
grep -q 'blocks of 4096' out || fail "$(<out)"
[[ $(count GO) == 2 && $(count EXPORT_NAME) == 0 ]] || fail "$(grep -o "NBD_OPT.*" server-log)"

# Block sizes are not told then.
"$BUILD/bin/nbd-connect" --dry-run --no-optgo -C 2 "$uri" >out || fail "$(grep -o "NBD_OPT.*" server-log)"
grep -q ' 67108864 bytes.* blocks of 512.* 2 connections' out || fail "$(<out)"
[[ $(count GO) == 2 && $(count EXPORT_NAME) == 2 ]] || fail "$(grep -o "NBD_OPT.*" server-log)"

# A missing export is told by hanging up.
status=0
"$BUILD/bin/nbd-connect" --dry-run -g "${uri/only/other}" 2>err || status=$?
((status == 3)) || fail "status $status: $(<err)"
grep -q "'other'" err || fail "$(<err)"
end_peer
