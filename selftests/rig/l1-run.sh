#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2154 # its variables come from the config
#
# PID 1 of L1 once the host's root is in place: runs the command (or a
# shell), leaves its exit status in RUN/status and powers off.
# Usage: l1-run.sh RUN (only by l1-init.sh)

run=$1
# shellcheck source=/dev/null
. "$run/config"

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=${rig_term:-dumb} LANG=C.UTF-8 USER=root LOGNAME=root
export PORTAL_RIG=1 PORTAL_KERNEL=$rig_kernel O=$rig_build
# What the kernel's command line left in the environment is not for tests.
unset rig_run BOOT_IMAGE

# Not /dev/null: what goes wrong here must be readable in the kernel log.
exec </dev/null >/dev/kmsg 2>&1

# The host reads a virtio port, which is no terminal: what it gets is exactly
# what was written. Only one process can have the port open, so the command
# writes to a pipe; it may then also open /dev/stdout and /dev/stderr.
run_command()
{
	local pump status
	local -a command

	mkfifo -m 600 /run/rig.out
	cat /run/rig.out >/dev/rig.out &
	pump=$!
	mapfile -d '' -t command <"$run/command"
	cd "$rig_top" || return
	setsid --wait "${command[@]}" >/run/rig.out 2>&1
	status=$?

	# A daemon the command left behind may hold the pipe: let its output
	# go after a moment, as init would.
	for ((i = 0; i < 20; i++)); do
		kill -0 "$pump" 2>/dev/null || break
		sleep 0.05
	done
	return "$status"
}

run_shell()
{
	cd "$rig_top" || return
	setsid --wait --ctty bash -c \
		"stty sane rows $rig_rows cols $rig_cols; exec bash -i" \
		</dev/ttyS1 >/dev/ttyS1 2>&1
}

if [ -s "$run/command" ]; then
	run_command
else
	run_shell
fi
status=$?

# Written aside and renamed: boot.sh never sees half a status.
echo "$status" >"$run/status.new" && mv "$run/status.new" "$run/status"
echo "rig: command exited with status $status"
sync
echo o >/proc/sysrq-trigger
# Power-off happens in a kernel thread; PID 1 must not exit before.
mkfifo /run/rig.end
read -r <>/run/rig.end
