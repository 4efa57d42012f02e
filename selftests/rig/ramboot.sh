#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the mock's tests on a kernel that cannot mount this machine's root (the
# cloud kernels have no 9p): the tests and what they need are the initramfs.
# usage: ramboot.sh KERNEL [PROGRAM...]
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

# ram_init: becomes /init. The tree is at /portal; results leave by two virtio
# ports, the output and the status. Busybox ash, as PID 1.
ram_init()
{
	cat <<-'INIT'
	#!/bin/busybox sh
	/bin/busybox --install -s /bin
	export PATH=/usr/bin:/bin HOME=/root O=/portal/build
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev
	mkdir -p /dev/shm /dev/pts
	mount -t tmpfs shm /dev/shm
	mount -t devpts pts /dev/pts
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing
	mount -t tmpfs tmp /tmp
	ln -s /proc/self/fd /dev/fd
	while read -r module; do
		case $module in
		*/kvm-amd.ko) grep -qw svm /proc/cpuinfo || continue ;;
		*/kvm-intel.ko) grep -qw vmx /proc/cpuinfo || continue ;;
		esac
		insmod "/$module"
	done </modules
	until out=$(grep -lx ram.out /sys/class/virtio-ports/*/name) &&
	      end=$(grep -lx ram.status /sys/class/virtio-ports/*/name); do
		sleep 0.02
	done
	out=/dev/$(basename "$(dirname "$out")") end=/dev/$(basename "$(dirname "$end")")
	echo 7 >/proc/sys/kernel/printk
	cd /portal && bash selftests/run.sh mock $(cat /programs) >"$out" 2>&1
	echo $? >"$end"
	sync
	echo o >/proc/sysrq-trigger
	sleep 60
	INIT
}

# with_libs TREE FILE...: programs at their own paths, with their libraries
with_libs()
{
	local tree=$1 file

	shift
	for file; do
		cp -L --parents "$file" "$tree"
		{ ldd "$file" 2>/dev/null || true; } | grep -o '/[^ ]*' || true
	done | sort -u | while read -r file; do
		cp -L --parents "$file" "$tree"
	done
}

[ $# -ge 1 ] || { echo "usage: ramboot.sh KERNEL [PROGRAM...]" >&2; exit 2; }
kernel=$1
shift
rig_need bash busybox cpio qemu-system-x86_64 timeout
image=$rig_dir/$kernel
[ -s "$image/release" ] || "$rig_self/kernel.sh" "${kernel%-*}" "${kernel#*-}" >/dev/null
release=$(cat "$image/release")
if [ $# -eq 0 ]; then
	for file in "$rig_top"/selftests/*_test.c; do
		set -- "$@" "$(basename "${file%.c}")"
	done
fi

run=$(mktemp -d "$rig_dir/.ram.XXXXXX")
trap 'rm -rf "$run"' EXIT
tree=$run/tree
mkdir -p "$tree"/{bin,dev,proc,sys,tmp,root,usr/bin} "$tree/portal/selftests/rig" \
	"$tree/portal/build/selftests" "$tree/portal/build/kmod/$release-mock"
cp "$(command -v busybox)" "$tree/bin/busybox"
ram_init >"$tree/init"
chmod 755 "$tree/init"
echo "$@" >"$tree/programs"
for program in bash awk dmesg grep mktemp sed timeout; do
	with_libs "$tree" "$(command -v "$program")"
done
cp "$rig_top"/selftests/{run.sh,settings} "$tree/portal/selftests/"
cp "$rig_self/dmesg.sh" "$tree/portal/selftests/rig/"
cp "$rig_build/kmod/$release-mock/portal.ko" "$tree/portal/build/kmod/$release-mock/"
for program; do
	cp "$rig_build/selftests/$program" "$tree/portal/build/selftests/"
	with_libs "$tree" "$rig_build/selftests/$program"
done
rm -rf "${tree:?}/${rig_build#/}"
: >"$tree/modules"
rig_modules "$image/root" "$release" virtio_pci virtio_console kvm-amd kvm-intel |
	while read -r module; do
		rig_copy_module "$image/root/$module" "$tree/${module%/*}"
		echo "${module%.ko*}.ko" >>"$tree/modules"
	done
rig_cpio "$tree" >"$run/initramfs"

accel=${PORTAL_RIG_ACCEL:-tcg}
case $accel in
kvm) machine=(-accel kvm -cpu host) ;;
*) machine=(-accel "tcg,thread=multi" -cpu max) ;;
esac
timeout --foreground --kill-after=5 "${PORTAL_RAM_TIMEOUT:-600}" qemu-system-x86_64 \
	"${machine[@]}" -smp 2 -m 2G -machine q35 -display none -no-user-config \
	-nodefaults -no-reboot -kernel "$image/vmlinuz" -initrd "$run/initramfs" \
	-append "console=ttyS0 quiet panic=-1 oops=panic" -serial "file:$run/kernel.log" \
	-device virtio-serial-pci \
	-chardev file,id=out,path=/dev/stdout -device virtserialport,chardev=out,name=ram.out \
	-chardev "file,id=end,path=$run/status" \
	-device virtserialport,chardev=end,name=ram.status </dev/null | cat || true
if [ ! -s "$run/status" ]; then
	say "no result; end of the kernel log:"
	tail -n 40 "$run/kernel.log" | tr -d '\r' >&2
	exit 125
fi
exit "$(cat "$run/status")"
