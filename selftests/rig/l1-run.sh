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

# An empty VM for as long as L1 runs. KVM switches a static key in the scheduler
# on for the first VM and off after the last one. QEMU's TCG (before 8.1) may run
# translations of code that was patched meanwhile, and another CPU then dies of
# a stale int3: so it is done once, on one CPU.
hold_vm()
{
	local file

	[ -c /dev/kvm ] || return
	for file in /sys/devices/system/cpu/cpu[1-9]*/online; do
		echo 0 >"$file"
	done
	# 0xae01 is KVM_CREATE_VM; L1's end is its end
	perl -e 'open(my $kvm, "+<", "/dev/kvm") or exit 1;
		 my $vm = ioctl($kvm, 0xae01, 0) or exit 1;
		 open(my $up, ">", "/run/rig.vm"); close($up); sleep;' &
	while [ ! -e /run/rig.vm ] && kill -0 $!; do
		sleep 0.05
	done
	for file in /sys/devices/system/cpu/cpu[1-9]*/online; do
		echo 1 >"$file"
	done
}

hold_vm
# inherited by all that COMMAND starts, so by the threads of each VM
[ -z "$rig_vm_cpus" ] || taskset -pc "$rig_vm_cpus" $$
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
