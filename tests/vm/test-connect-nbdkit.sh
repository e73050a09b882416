#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbd-connect against nbdkit, over TCP (IPv4, IPv6, name) and Unix, 1 and 4 connections, verified.
# vm: timeout=240
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
port=$(unused_port)
start_background nbdkit -f -p "$port" memory 32M
wait_for 20 nbd-list -q "nbd://127.0.0.1:$port"
verify_export "nbd://127.0.0.1:$port" -C 1
verify_export "nbd://[::1]:$port" -C 4
verify_export "nbd://localhost:$port/any-name" -C 1
start_background nbdkit -f -U "$T/socket" memory 32M
wait_for 20 test -S socket
verify_export "nbd+unix:///?socket=$T/socket" -C 4
