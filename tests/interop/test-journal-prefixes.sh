#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where standard error is the journal, each line begins with its priority; elsewhere with the command.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

# Sets said: what nbd-connect tells a file that JOURNAL_STREAM names so.
say_to() {
	: >said.log
	expect_failure env JOURNAL_STREAM="$1" "$BUILD/bin/nbd-connect" "${@:2}" 2>said.log
	said=$(<said.log)
}

: >said.log
journal=$(stat -c %d:%i said.log)
say_to "$journal" --dry-run -u "$PWD/nobody"
[[ $said == "<3>cannot connect to $PWD/nobody: No such file or directory" ]] || fail "said: $said"
say_to "$journal" -u "$PWD/nobody" $'a\n<0>b' nbd0
[[ $said == '<3>'*'a?<0>b' ]] || fail "said: $said"
say_to 1:1 --dry-run -u "$PWD/nobody"
[[ $said == "nbd-connect: cannot connect to "* ]] || fail "said: $said"
say_to "${journal}0" --dry-run -u "$PWD/nobody"
[[ $said == "nbd-connect: cannot connect to "* ]] || fail "said: $said"
