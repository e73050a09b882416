#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbdinfo sees every export with its size and description.
. "$(dirname "$0")/common.sh"
truncate -s 1M one.img
truncate -s 3M two.img
serve first=one.img second=two.img
nbdinfo --list "$uri" | tee list
grep -q 'export="first"' list
grep -q 'export="second"' list
grep -q 'description: test image 2' list
[[ $(nbdinfo --size "$uri") == 1048576 ]] || fail "the first export is not the default one"
[[ $(nbdinfo --size "nbd+unix:///second?socket=$socket") == 3145728 ]]
expect_failure nbdinfo "nbd+unix:///third?socket=$socket"
end_server
