#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2154 # its variables come from the config
#
# PID 1 of L1 once the host's root is in place: finishes the system, runs the
# command (or a shell), leaves its exit status in RUN/status and powers off.
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

setup()
{
	local release

	# A bare devtmpfs lacks what udev or systemd would add.
	ln -sfn /proc/self/fd /dev/fd
	ln -sfn fd/0 /dev/stdin
	ln -sfn fd/1 /dev/stdout
	ln -sfn fd/2 /dev/stderr
	mkdir -p /dev/pts /dev/shm /run/lock
	mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
	mount -t tmpfs -o mode=1777 shm /dev/shm
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing
	chmod 1777 /tmp

	# modprobe must see the modules of this kernel, whatever is installed.
	release=$(uname -r)
	mkdir -p "/lib/modules/$release"
	mount --bind "$rig_image/root/lib/modules/$release" \
		"/lib/modules/$release"

	hostname portal-l1
	ip link set lo up
	# "quiet" made the boot fast; from here on the log shall be complete.
	echo 7 >/proc/sys/kernel/printk
	# A test that lets a task hang is to be noticed within its time limit.
	echo 60 >/proc/sys/kernel/hung_task_timeout_secs
	echo "rig: up after $(cut -d' ' -f1 /proc/uptime) s"
}

# The host reads a virtio port, which is no terminal: what it gets is exactly
# what was written. Only one process can have the port open, so the command
# writes to a pipe; it may then also open /dev/stdout and /dev/stderr.
run_command()
{
	local port=/dev/vport0p1 pump status
	local -a command

	while [ ! -c "$port" ]; do
		port=$(echo /dev/vport*p1)
	done
	mkfifo -m 600 /run/rig.out
	cat /run/rig.out >"$port" &
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

setup
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
while :; do
	sleep 60
done
