#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nbdinfo sees every export with its size and description.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
truncate -s 1M one.img
truncate -s 3M two.img

check() {
	serve --description='two images' first=one.img second=two.img
	nbdinfo --list "$uri" >list
	grep -q 'export="first"' list
	grep -q 'export="second"' list
	grep -q 'description: two images' list
	nbdinfo --list --json "$uri" >list
	expect_json '.exports[] | ."export-name", ."export-size"' 'first 1048576 second 3145728' list
	same_text 1048576 "$(nbdinfo --size "$uri")"
	same_text 3145728 "$(nbdinfo --size "$(uri_of second)")"
	expect_failure nbdinfo "$(uri_of third)"
	end_server
}

over_all_ways check
