#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2154 # its variables come from the config
#
# /init of L1's initramfs: finds the host's root and build directory over 9p
# and hands over to l1-run.sh there. A failure here ends in a panic (PID 1
# exits), which boot.sh reports together with the kernel log.

/bin/busybox mkdir -p /proc /sys /dev /host /over /root /build
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

# Messages of this script belong to the kernel log, not to the command.
exec >/dev/kmsg 2>&1

while read -r module; do
	# One kernel serves AMD and Intel; the wrong kvm module must not load.
	case $module in
	*/kvm-amd.ko) grep -qw svm /proc/cpuinfo || continue ;;
	*/kvm-intel.ko) grep -qw vmx /proc/cpuinfo || continue ;;
	esac
	insmod "/$module" || echo "rig: cannot load $module"
done </modules

# cache=loose makes the host's root fast; it is read-only, so nothing is lost.
# The build directory is written by both sides: cache=mmap keeps the page
# cache only for mapped files (the linker and the loader map theirs).
opts=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "$opts,ro,cache=loose" host /host || exit 1
mount -t 9p -o "$opts,cache=mmap" build /build || exit 1

mount -t tmpfs -o size=75% over /over
mkdir /over/upper /over/work
mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work \
	over /root || exit 1

# rig_run comes from the kernel command line: the run's name under build/rig.
# Its config sets rig_top, rig_build, rig_image and more.
# shellcheck source=/dev/null
. "/build/rig/run/$rig_run/config" || exit 1

# The rest is what a service manager would do. It is done here and not in
# l1-run.sh because busybox starts much faster than the host's tools over 9p.
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs -o mode=1777 tmp /root/tmp
mount -t tmpfs -o mode=755 run /root/run
mkdir /root/run/lock
hostname portal-l1
ifconfig lo up
# A test that lets a task hang shall be noticed within its time limit.
echo 60 >/proc/sys/kernel/hung_task_timeout_secs
# "quiet" made the boot fast; from here on the log shall be complete.
echo 7 >/proc/sys/kernel/printk

# A tree that lives below one of these has just been hidden: show it again.
[ -d "/root$rig_top" ] || {
	mkdir -p "/root$rig_top"
	mount --bind "/host$rig_top" "/root$rig_top"
}
mkdir -p "/root$rig_build"
mount --move /build "/root$rig_build"

# modprobe must see the modules of this kernel, whatever the host has installed.
modules=/lib/modules/$(uname -r)
mkdir -p "/root$modules"
mount --bind "/root$rig_image/root$modules" "/root$modules"

# The driver makes the port a little after it is loaded, and numbers it by the
# order in which virtio devices were found.
[ -z "$rig_port" ] || until [ -c /dev/rig.out ]; do
	ln -sf /dev/vport*p1 /dev/rig.out
	sleep 0.02
done

for dir in proc sys dev; do
	mount --move "/$dir" "/root/$dir"
done
echo "rig: up after $(cut -d" " -f1 /root/proc/uptime) s"

exec switch_root /root /bin/bash "$rig_top/selftests/rig/l1-run.sh" \
	"$rig_build/rig/run/$rig_run"
