#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An explicit device that is connected already, or in use, is refused by name.
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
start_background nbdkit -f -U "$T/socket" memory 4M
wait_for 10 test -S socket
expect_status 0 nbd-connect -u socket /dev/nbd4
expect_match '^/dev/nbd4$' "$out"
expect_status 5 nbd-connect -u socket /dev/nbd4
expect_match 'nbd4.*already connected' "$err"
expect_status 0 nbd-connect -c nbd4
expect_status 1 nbd-connect -c nbd5
expect_status 0 nbd-connect -d nbd4
