#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The generator makes of nbdtab and conf files what systemd understands: units, drop-ins, wants.
# shellcheck source=tests/interop/common.sh
. "$(dirname "$0")/common.sh"
command -v systemd-escape systemd-analyze >/dev/null || { echo "no systemd here"; exit 77; }
mkdir -p etc/nbd "etc/systemd/system/dev-nbd8.device.requires"
ln -s /lib/systemd/system/nbd@.service etc/systemd/system/dev-nbd8.device.requires/nbd@nbd8.service

cat >etc/nbdtab <<'END'
nbd0 server export _auto
nbd1 server export bs=1024,_auto=module
nbd2 server export
nbd3 server export tls,_auto
nbd8 server export _auto
this-is-no-line
END
conf() {
	printf '%s\n' "${@:2}" >"etc/nbd/$1.conf"
}
conf my-disk 'uri = nbd://server/' 'auto = yes' 'wait = 300'
conf a+b_c.d 'uri = nbd://server/' 'auto = module'
conf image 'file = /srv/two  "words" \x20 100%i.img' 'auto = yes'
conf by-hand 'file = /srv/disk.img'
conf with-module 'file = /srv/disk.img' 'auto = module'
conf broken 'file = /srv/disk.img' 'auto = yes' 'colour = red'
conf nbd0 'uri = nbd://other/' 'auto = module'

# generate STATUS: into out; what it says is in log.
generate() {
	local status=0
	rm -rf out && mkdir -p out/normal out/early out/late
	"$BUILD/udev/nbd-tools-generator" --etc="$PWD/etc" out/{normal,early,late} 2>log || status=$?
	((status == $1)) || fail "status $status: $(<log)"
}
generate 0

# All that is there, and what the links are for.
(cd out && find . ! -type d -printf '%P %l\n' | sed 's, /.*/, /,' | LC_ALL=C sort) >found
LC_ALL=C sort >wanted <<'END'
normal/local-fs.target.wants/nbd-loop@broken.service ../nbd-loop@broken.service
normal/local-fs.target.wants/nbd-loop@image.service ../nbd-loop@image.service
normal/nbd-connect@a\x2bb_c.d.service.d/module.conf 
normal/nbd-connect@my\x2ddisk.service.d/wait.conf 
normal/nbd-connect@nbd1.service.d/module.conf 
normal/nbd-loop@broken.service 
normal/nbd-loop@by\x2dhand.service 
normal/nbd-loop@image.service 
normal/nbd-loop@with\x2dmodule.service 
normal/nbd-loop@with\x2dmodule.service.d/module.conf 
normal/nbd-module.target.wants/nbd-connect@a\x2bb_c.d.service /nbd-connect@.service
normal/nbd-module.target.wants/nbd-connect@nbd1.service /nbd-connect@.service
normal/nbd-module.target.wants/nbd-loop@with\x2dmodule.service ../nbd-loop@with\x2dmodule.service
normal/remote-fs.target.wants/nbd-connect@my\x2ddisk.service /nbd-connect@.service
normal/remote-fs.target.wants/nbd-connect@nbd0.service /nbd-connect@.service
normal/remote-fs.target.wants/nbd-connect@nbd3.service /nbd-connect@.service
END
diff wanted found || fail "other units than wanted"

# What it says: of each wrong entry and line where it is, and of the one that it leaves alone.
for words in 'nbdtab:4: .*tls' 'nbdtab:5: left to nbd-client' 'nbdtab:6: ' 'broken.conf:3: .*colour' \
	'nbd0.conf: nbd0 is in .*nbdtab:1'; do
	grep -q -- "$words" log || fail "does not say '$words': $(<log)"
done
(($(wc -l <log) == 5)) || fail "says more: $(<log)"

# systemd's own reading of it. The programs need not be installed.
mkdir units
cp "$BUILD"/udev/nbd-*@.service "${BASH_SOURCE%/*}"/../../udev/*.target units/
verify() {
	SYSTEMD_UNIT_PATH=out/normal:units:/lib/systemd/system systemd-analyze verify --man=no --recursive-errors=no "$@" 2>&1 |
		grep -v 'is not executable: No such file or directory$' || true
}
said=$(verify out/normal/*.service units/nbd-module.target units/nbd-loop@srv-disk.img.service)
[[ -z $said ]] || fail "systemd: $said"

# A path is quoted as systemd undoes it.
grep -qxF 'RequiresMountsFor="/srv/two  \"words\" \\x20 100%%i.img"' \
	out/normal/nbd-loop@image.service || fail "mounts: $(grep Mounts out/normal/nbd-loop@image.service)"

# Nowhere to write to is an error.
rm -rf out
status=0
"$BUILD/udev/nbd-tools-generator" --etc="$PWD/etc" out 2>log || status=$?
((status == 1)) || fail "no folder: status $status"
# Nothing to do is none.
rm -rf etc
generate 0
[[ -z $(ls out/normal)$(<log) ]] || fail "something from nothing: $(ls out/normal) $(<log)"
