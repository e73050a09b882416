#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An idle server takes little memory, locks it, and hides from the OOM killer.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 1G
device=$(nbd-loop disk.img) || fail "attach"
pid=$(nbd-list -n --raw -O PID "$device")
resident=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status")
locked=$(awk '$1 == "VmLck:" { print $2 }' "/proc/$pid/status")
echo "resident $resident kB, locked $locked kB"
((resident < 24 * 1024)) || fail "$resident kB resident"
((locked > 4 * 1024)) || fail "only $locked kB locked"
[[ $(<"/proc/$pid/oom_score_adj") == -1000 ]] || fail "oom_score_adj"
expect_status 0 nbd-loop -d "$device"
