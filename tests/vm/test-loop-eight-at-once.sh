#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Eight nbd-loops at once get eight different devices.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
for i in 1 2 3 4 5 6 7 8; do
	make_image "disk$i.img" 1M
	nbd-loop "disk$i.img" >"device$i" 2>"error$i" &
done
wait
cat error*
(( $(cat device* | sort -u | wc -l) == 8 )) || fail "$(cat device*)"
expect_status 0 nbd-loop -D
