#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Entries attach, remote ones and images; their devices are known by their names, and detached by
# them.
# vm: timeout=300
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"
load_nbd
make_image disk.img 16M
truncate -s 1048576 one.img
start_background nbdkit -f -U "$T/socket" --filter=exportname file "$T/one.img"
wait_for 20 test -S socket
rm -rf /etc/nbdtab /etc/nbd /run/nbd-tools
mkdir -p /etc/nbd /run/nbd-tools/hotplug
cat >/etc/nbdtab <<END
# comment
nbd3 $T/socket "" bs=4096,timeout=60,unix,_netdev
nbd4 $T/socket x unix,persist
END
sed -i 's/""/x/' /etc/nbdtab
printf '%s\n' "uri = nbd+unix:///?socket=$T/none" "uri = nbd+unix:///?socket=$T/socket" \
	"device = nbd6" "read-only = yes" >/etc/nbd/two.conf
printf '%s\n' "file = $T/disk.img" "offset = 1M" "sector-size = 4096" >/etc/nbd/image.conf
printf '%s\n' "uri = nbd+unix:///?socket=$T/socket" >/run/nbd-tools/hotplug/uri:0a1b.conf

# expect_facts DEVICE FACTS: of nbd-list.
expect_facts() {
	local facts
	facts=$(nbd-list -n --raw -O ENTRY,KIND,RO,TIMEOUT "$1")
	[[ $facts == "$2" ]] || fail "$1: $facts, not $2"
}

expect_status 0 nbd-connect nbd3
[[ $out == /dev/nbd3 ]] || fail "out: $out"
expect_facts nbd3 "nbd3 remote 0 60"
[[ $(</sys/block/nbd3/queue/logical_block_size) == 4096 ]] || fail "block size"
expect_status 5 nbd-connect nbd3
expect_status 0 nbd-connect --idempotent --foreground --wait=20 --entry=nbd3
[[ $out == /dev/nbd3 ]] || fail "out: $out"
# One bad line spoils only itself.
expect_status 2 nbd-connect nbd4
expect_match '^nbd-connect: /etc/nbdtab:3: .*persist' "$err"

expect_status 0 nbd-connect --entry=two
expect_facts nbd6 "two remote 1 30"
# The same source by another entry is another device.
expect_status 0 nbd-connect --idempotent --timeout=7 --entry=uri:0a1b nbd9
expect_facts nbd9 "uri:0a1b remote 0 7"
expect_status 0 nbd-disconnect two
[[ ! -e /sys/block/nbd6/pid && -e /sys/block/nbd9/pid ]] || fail "$(nbd-list)"
expect_status 3 nbd-disconnect two
expect_status 3 nbd-disconnect --entry=two
expect_status 0 nbd-disconnect --idempotent --entry=two
expect_status 0 nbd-disconnect --entry=uri:0a1b
expect_status 0 nbd-disconnect --entry=nbd3

# An image: its server is nbd-loop, in the background or in our place.
expect_status 0 nbd-connect image nbd7
[[ $out == /dev/nbd7 ]] || fail "out: $out"
expect_facts nbd7 "image loop 0 30"
[[ $(nbd-loop -n --raw -O OFFSET,LOG-SEC --bytes nbd7) == "1048576 4096" ]] || fail "$(nbd-loop)"
expect_status 0 nbd-connect --idempotent image
[[ $out == /dev/nbd7 ]] || fail "out: $out"
expect_status 0 nbd-disconnect --entry=image
expect_status 0 nbd-loop --read-only --entry=image
expect_facts "$out" "image loop 1 30"
expect_status 0 nbd-disconnect image
# systemd spares processes with an '@' at a shutdown.
(exec -a @nbd-connect nbd-connect --foreground --entry=image >device) &
pid=$!
wait_for 20 test -s device
[[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == "@nbd-loop --entry=image "* ]] || fail "the mark is lost"
[[ $(nbd-list -n --raw -O PID "$(<device)") == "$pid" ]] || fail "another process serves it"
kill -TERM $pid
wait $pid || fail "status $?"
[[ -z $(nbd-list -n) ]] || fail "still attached: $(nbd-list)"
