#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-client sees the exports; it needs no kernel for that.
. "$(dirname "$0")/common.sh"
truncate -s 1M one.img
truncate -s 1M two.img
serve first=one.img second=two.img
PATH=$PATH:/usr/sbin:/sbin
nbd-client -l -unix "$socket" | tee list
grep -q '^first' list
grep -q '^second' list
end_server
