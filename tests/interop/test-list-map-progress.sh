#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A map that takes long shows a terminal on standard error how far it is, and nothing with -q.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"

# Each answer is another extent.
# shellcheck disable=SC2016 # expanded by nbdkit's shell
serve_by nbdkit -f -U "$socket" eval get_size='echo 5368709120' can_extents='exit 0' pread='exit 1' \
	extents='sleep 0.5; [ $(($4 / 1073741824 % 2)) = 0 ] && echo $4 $3 || echo $4 $3 hole'

# on_terminal FILE COMMAND…: what comes on standard error goes there.
on_terminal() {
	python3 -c '
import os, pty, subprocess, sys
master, terminal = pty.openpty()
process = subprocess.Popen(sys.argv[2:], stderr=terminal)
os.close(terminal)
with open(sys.argv[1], "wb") as file:
    try:
        while data := os.read(master, 4096):
            file.write(data)
    except OSError:
        pass
sys.exit(process.wait())' "$@"
}

on_terminal shown "$BUILD/bin/nbd-list" --map "$uri" >quiet
grep -qP '\r +[1-9][0-9]\.0%' shown || fail "shown: $(cat -v shown)"
[[ $(tail -c 8 shown) == $'\r      \r' ]] || fail "left there: $(cat -v shown)"
on_terminal shown "$BUILD/bin/nbd-list" -q --map "$uri" >out
cmp quiet out
[[ ! -s shown ]]
"$BUILD/bin/nbd-list" --map "$uri" 2>shown >out
cmp quiet out
[[ ! -s shown ]]
end_peer
