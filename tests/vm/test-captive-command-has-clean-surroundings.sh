#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command has none of our descriptors, no protection from the OOM killer, no I/O flusher flag.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 8M
expect_status 0 nbd-loop disk.img -- cat /proc/self/oom_score_adj
expect_match '^0$' "$out"
expect_status 0 nbd-loop disk.img -- ls /proc/self/fd
expect_match "^0 1 2 3 $" "$(tr "\n" " " <<<"$out")"
