# SPDX-License-Identifier: Apache-2.0
# bash completion of all commands of nbd-tools; each tells its own long options.

_nbd_tools_devices() {
	local device
	for device in /sys/block/nbd*/pid; do
		[[ -e $device ]] && device=${device%/pid} && echo "/dev/${device##*/}"
	done
}

# Names of entries; what /etc/nbdtab has as a device is one too.
_nbd_tools_entries() {
	local file
	[[ -r /etc/nbdtab ]] && awk '!/^[[:blank:]]*#/ && NF > 2 { sub("^/dev/", "", $1); print $1 }' /etc/nbdtab
	for file in /etc/nbd/*.conf; do
		file=${file##*/}
		[[ $file != '*.conf' ]] && echo "${file%.conf}"
	done
}

_nbd_tools() {
	local command=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	case $previous in
	-u | -U | --unix | --pid-file | -j | --associated | --tls-psk)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--user)
		mapfile -t COMPREPLY < <(compgen -u -- "$word")
		return
		;;
	--entry)
		mapfile -t COMPREPLY < <(compgen -W "$(_nbd_tools_entries)" -- "$word")
		return
		;;
	--can | --is)
		mapfile -t COMPREPLY < <(compgen -W "cache connect df extended-headers fast-zero flush fua
			multi-conn read read-only rotational structured-reply tls trim write zero" -- "$word")
		return
		;;
	--check)
		mapfile -t COMPREPLY < <(compgen -W "$(_nbd_tools_devices)" -- "$word")
		return
		;;
	--tls-certificates)
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return
		;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$command" --long-options 2>/dev/null)" -- "$word")
		return
	fi
	local words=
	case ${command##*/} in
	nbd-connect | nbd-disconnect) words="$(_nbd_tools_devices) $(_nbd_tools_entries)" ;;
	nbd-list | nbd-loop) words=$(_nbd_tools_devices) ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	[[ ${command##*/} == nbd-@(loop|serve) ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word")
}

complete -o filenames -F _nbd_tools nbd-connect nbd-disconnect nbd-list nbd-loop nbd-serve
