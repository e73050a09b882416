# SPDX-License-Identifier: Apache-2.0
# bash completion of all commands of nbd-tools; each tells its own long options.

_nbd_tools_devices() {
	local device
	for device in /sys/block/nbd*/pid; do
		[[ -e $device ]] && device=${device%/pid} && echo "/dev/${device##*/}"
	done
}

_nbd_tools() {
	local command=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	case $previous in
	-u | --unix | --pid-file | -j | --associated)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$command" --long-options 2>/dev/null)" -- "$word")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$(_nbd_tools_devices)" -- "$word")
	[[ ${command##*/} == nbd-loop ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word")
}

complete -o filenames -F _nbd_tools nbd-connect nbd-disconnect nbd-list nbd-loop
