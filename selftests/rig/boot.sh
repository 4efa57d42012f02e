#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boots a stock Debian kernel (L1) over this machine's own root and runs one
# command in it. See README.md.
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

# What the rig itself has to report; everything else is COMMAND's own status.
readonly timed_out=124 rig_failed=125
rig_die_status=$rig_failed

usage()
{
	cat <<-'USAGE'
	usage: boot.sh [OPTION...] -- COMMAND [ARG...]
	       boot.sh [OPTION...] --shell
	  --kernel NAME   6.1, 6.12, 6.1-cloud, 6.12-rt, ... or any directory
	                  build/rig/NAME made by hand (default 6.12)
	  --cpus N        CPUs of L1 for COMMAND (default 2); TCG's threads need
                  one more, which COMMAND and its VMs keep off
	  --mem SIZE      memory of L1 (default 3G)
	  --icount        count instructions instead of time (slow)
	  --one-thread    emulate all CPUs in one thread: slower, but code that
	                  one CPU patches is never run stale by another
	  --timeout S     give up after S seconds (default 600; 0: never)
	  --silence S     give up when COMMAND has said nothing for S seconds
	                  (default 0: never)
	  --log FILE      copy the output to FILE and the kernel log to
	                  FILE.kernel
	  --append WORDS  more words for L1's kernel command line
	  --shell         an interactive shell instead of a command
	Exit status: COMMAND's; 124 when the time is up; 125 when L1 died or
	could not be started.
	Environment: PORTAL_RIG_ACCEL=tcg|kvm overrides the choice of accelerator,
	PORTAL_RIG_QEMU=FILE that of the QEMU that emulates L1 (qemu.sh);
	PORTAL_RIG_ALONE=1 when it measures: nobody looks after L1 meanwhile.
	USAGE
	exit "${1:-$rig_failed}"
}

kernel=6.12 cpus=2 mem=3G icount='' thread=multi limit=600 silence=0 log='' shell='' append=''
while [ $# -gt 0 ]; do
	case $1 in
	--kernel | --cpus | --mem | --timeout | --silence | --log | --append)
		[ $# -ge 2 ] || usage
		;;
	esac
	case $1 in
	--kernel) kernel=$2; shift ;;
	--cpus) cpus=$2; shift ;;
	--mem) mem=$2; shift ;;
	--timeout) limit=$2; shift ;;
	--silence) silence=$2; shift ;;
	--log) log=$2; shift ;;
	--append) append=$2; shift ;;
	--icount) icount=1 ;;
	--one-thread) thread=single ;;
	--shell) shell=1 ;;
	--) shift; break ;;
	-h | --help) usage 0 ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
if [ -n "$shell" ]; then
	[ $# -eq 0 ] || usage
	[ -t 0 ] || die "--shell needs a terminal"
	limit=0
else
	[ $# -gt 0 ] || usage
fi

rig_need busybox cpio flock modprobe perl qemu-system-x86_64 timeout xz
image=$rig_dir/$kernel
[ -s "$image/release" ] || "$rig_self/kernel.sh" "$kernel" >/dev/null ||
	die "no kernel $kernel"
release=$(cat "$image/release")
# The cloud kernels are for guests.
[ ! -e "$image/config" ] || grep -q "^CONFIG_9P_FS=" "$image/config" ||
	die "$kernel has no 9p: it can be the guest's kernel, not L1's"

accel=$(rig_accel)
[ -z "$icount" ] || [ -n "${PORTAL_RIG_ACCEL:-}" ] || accel=tcg
case $accel in
kvm) machine=(-accel kvm -cpu host) ;;
tcg) machine=(-accel "tcg,thread=$thread" -cpu max) ;;
*) die "PORTAL_RIG_ACCEL is neither tcg nor kvm: $accel" ;;
esac
if [ -n "$icount" ]; then
	[ "$accel" = tcg ] || die "--icount needs TCG"
	# shellcheck disable=SC2054 # commas within one option
	machine=(-accel "tcg,thread=single" -cpu max
		-icount shift=auto,sleep=off)
fi
# QEMU's other threads write flags of CPU 0 that its VMRUN uses ("Known limits"),
# so no VM may run there.
smp=$cpus vm_cpus=
if [ "$accel:$thread:$icount" = tcg:multi: ]; then
	smp=$((cpus + 1)) vm_cpus=1-$cpus
fi

# make_initramfs: busybox, the modules L1 needs to find its root, and kvm. Not
# compressed: QEMU loads it faster than L1 could unpack it.
make_initramfs()
{
	local tree module

	[ "$image/l1.cpio" -nt "$rig_self/l1-init.sh" ] &&
		[ "$image/l1.cpio" -nt "$image/release" ] &&
		[ "$image/l1.cpio" -nt "$rig_self/boot.sh" ] && return
	tree=$(mktemp -d "$rig_dir/.l1.XXXXXX")
	mkdir "$tree/bin"
	cp "$(command -v busybox)" "$tree/bin/busybox"
	install -m 755 "$rig_self/l1-init.sh" "$tree/init"
	rig_modules "$image/root" "$release" virtio_pci 9p 9pnet_virtio \
		overlay virtio_console virtio-rng kvm-amd kvm-intel |
		while read -r module; do
			rig_copy_module "$image/root/$module" \
				"$tree/${module%/*}"
			echo "${module%.ko*}.ko" >>"$tree/modules"
		done
	rig_cpio "$tree" >"$tree.cpio"
	mv "$tree.cpio" "$image/l1.cpio"
	rm -rf "$tree"
}

(
	flock 9
	make_initramfs
) 9>"$rig_dir/.$kernel.lock"

# Runs may overlap, so each has its own directory. Those of failed runs stay
# for a day.
mkdir -p "$rig_dir/run"
find "$rig_dir/run" -mindepth 1 -maxdepth 1 -mtime +0 -exec rm -rf {} +
run=$(mktemp -d "$rig_dir/run/$kernel.XXXXXX")
kernel_log=$run/kernel.log
[ -z "$log" ] || kernel_log=$log.kernel
: >"$kernel_log"
{
	printf 'rig_top=%q\nrig_build=%q\nrig_image=%q\nrig_kernel=%q\nrig_vm_cpus=%q\n' \
		"$rig_top" "$rig_build" "$image" "$kernel" "$vm_cpus"
	if [ -n "$shell" ]; then
		read -r rows cols < <(stty size)
		printf 'rig_term=%q\nrig_rows=%q\nrig_cols=%q\n' \
			"${TERM:-dumb}" "$rows" "$cols"
	else
		echo rig_port=1
	fi
} >"$run/config"
[ -n "$shell" ] || printf '%s\0' "$@" >"$run/command"

case $accel:$kernel in
tcg:*-rt)
	# kvm refuses PREEMPT_RT without a constant TSC, which TCG has but does
	# not tell. Linux believes it of VMware, known by serial and vmport.
	# shellcheck disable=SC2054 # commas within one option
	machine+=(-cpu max,-hypervisor -smbios type=1,serial=VMware-rig)
	;;
esac
emulator="qemu-system-x86_64"
[ "$accel" = kvm ] || emulator=$("$rig_self/qemu.sh")
qemu=("$emulator" "${machine[@]}" -smp "$smp" -m "$mem"
	-machine q35 -display none -no-user-config -nodefaults -no-reboot
	-kernel "$image/vmlinuz" -initrd "$image/l1.cpio"
	-append "console=ttyS0 quiet panic=-1 oops=panic rig_run=${run##*/} $append"
	-serial "file:$kernel_log"
	-device virtio-rng-pci
	# A comma ends a value in QEMU's options; two stand for one.
	-virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
	-virtfs "local,path=${rig_build//,/,,},mount_tag=build,security_model=none,multidevs=remap")

helpers=() sockets=
trap '[ ${#helpers[@]} = 0 ] || kill "${helpers[@]}" 2>/dev/null || true
	rm -rf "$sockets"' EXIT

# See "Known limits". Not while something is measured.
if [ "$accel:$thread:$icount" = tcg:multi: ] && [ -z "${PORTAL_RIG_ALONE:-}" ] &&
	command -v cc >/dev/null && ! rig_qemu_is_new "$emulator"; then
	(
		flock 9
		[ "$rig_dir/unstick" -nt "$rig_self/unstick.c" ] && exit
		cc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$run/unstick" "$rig_self/unstick.c"
		mv "$run/unstick" "$rig_dir/unstick"
	) 9>"$rig_dir/.unstick.lock"
	# a socket's path is 107 characters at most
	sockets=$(mktemp -d -t portal-rig.XXXXXX)
	qemu+=(-monitor "unix:$sockets/monitor,server=on,wait=off"
		-gdb "unix:$sockets/gdb,server=on,wait=off")
	"$rig_dir/unstick" "$sockets/monitor" "$sockets/gdb" </dev/null >&2 &
	helpers+=($!)
fi

# An L1 that hangs says nothing more, and whoever waits for it need not wait long.
watch_silence()
{
	local pid

	touch "$run/said"
	while sleep 5; do
		[ $(($(date +%s) - $(stat -c %Y "$run/said"))) -ge "$silence" ] || continue
		say "L1 has said nothing for $silence s"
		pid=$(cat "$run/pid") && kill -KILL "$pid"
		return
	done
}

# copy_output: the port is a "file" chardev, as a stdio one would hang up as soon
# as its input ends. It blocks QEMU while nobody reads, so it gets a pipe of its
# own that is always read.
copy_output()
{
	if [ -n "$log" ]; then
		tee "$log" "$run/said"
	else
		tee "$run/said"
	fi
}

result=0
if [ -n "$shell" ]; then
	saved=$(stty -g)
	"${qemu[@]}" -chardev stdio,id=tty,signal=off -serial chardev:tty ||
		result=$?
	stty "$saved"
else
	if [ "$silence" != 0 ]; then
		watch_silence </dev/null &
		helpers+=($!)
	fi
	# KILL as well: a QEMU that waits for a stuck 9p request ignores TERM.
	timeout --foreground --kill-after=5 "$limit" "${qemu[@]}" \
		-pidfile "$run/pid" -device virtio-serial-pci \
		-chardev file,id=out,path=/dev/stdout \
		-device virtserialport,chardev=out,name=rig.out \
		</dev/null | copy_output || result=${PIPESTATUS[0]}
fi

if [ -s "$run/status" ]; then
	status=$(cat "$run/status")
elif [ "$result" -eq 124 ] || [ "$result" -eq 137 ]; then
	say "no result after $SECONDS s"
	status=$timed_out
else
	say "L1 ended without a result (QEMU's status: $result)"
	status=$rig_failed
fi

if [ ! -s "$run/status" ]; then
	say "end of the kernel log ($kernel_log):"
	tail -n 60 "$kernel_log" | tr -d '\r' >&2
elif [ "$status" -eq 0 ]; then
	rm -rf "$run"
fi
exit "$status"
