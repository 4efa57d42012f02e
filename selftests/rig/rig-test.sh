#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rig tests itself. Inside L1, after guest.sh on the host:
#   boot.sh --kernel 6.12 -- selftests/rig/rig-test.sh
# Prints TAP.
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=selftests/rig/dmesg.sh
. "$rig_self/dmesg.sh"

guest=$rig_self/qemu-guest.sh
count=0 failed=0

uptime_s()
{
	cut -d' ' -f1 /proc/uptime
}

# check DESCRIPTION COMMAND...: one TAP line.
check()
{
	local description=$1 result=ok

	shift
	count=$((count + 1))
	"$@" || {
		result='not ok'
		failed=$((failed + 1))
	}
	echo "$result $count - $description # $(uptime_s) s"
}

in_rig()
{
	[ "${PORTAL_RIG-}" = 1 ] && [ -n "${PORTAL_KERNEL-}" ] &&
		[ "$(uname -r)" = "$(cat "$rig_dir/$PORTAL_KERNEL/release")" ]
}

kvm_loaded()
{
	grep -qE '^kvm_(amd|intel) ' /proc/modules
}

kvm_works()
{
	perl -e 'open(my $kvm, "+<", "/dev/kvm") or die "open: $!";
		defined(ioctl($kvm, 0xae01, 0)) or die "KVM_CREATE_VM: $!"'
}

modprobe_works()
{
	modprobe loop && [ -e /dev/loop-control ]
}

build_is_shared()
{
	local file

	file=$(mktemp "$rig_dir/run/rig-test.XXXXXX") && rm "$file"
}

system_is_complete()
{
	local dir

	for dir in /proc /sys /dev /dev/pts /dev/shm /tmp /run \
		/sys/kernel/debug /sys/kernel/tracing; do
		mountpoint -q "$dir" || {
			echo "# $dir is not mounted"
			return 1
		}
	done
	[ "$(cat /sys/class/net/lo/operstate)" != down ]
}

guest_starts()
{
	"$guest" start >/dev/null
}

guest_has_kernel()
{
	local kernel=${PORTAL_GUEST_KERNEL:-$PORTAL_KERNEL}

	[ "$("$guest" run uname -r)" = "$(cat "$rig_dir/$kernel/release")" ]
}

guest_hands_on_status()
{
	local status=0

	"$guest" run 'exit 42' || status=$?
	[ "$status" -eq 42 ]
}

# Output must arrive byte for byte: no newline added or lost, no CR.
guest_output_is_exact()
{
	[ "$("$guest" run 'printf "a\\n\\tb\\\\"; echo; printf c' | od -c)" = \
		"$(printf 'a\n\tb\\\nc' | od -c)" ]
}

guest_time_limit()
{
	local status=0

	"$guest" run --timeout 1 sleep 30 >/dev/null 2>&1 || status=$?
	# The agent must have survived.
	[ "$status" -eq 124 ] && "$guest" run true
}

echoes()
{
	[ "$("$guest" run "sleep 0.1; echo $1")" = "$1" ]
}

guest_takes_turns()
{
	local i pids=()

	for i in 1 2 3 4; do
		echoes "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || return
	done
}

guest_loads_modules()
{
	"$guest" run 'modprobe ext4 && modprobe virtio_mmio &&
		grep -qw ext4 /proc/filesystems'
}

guest_qmp()
{
	"$guest" qmp '{"execute":"query-status"}' | grep -q '"running": true'
}

dmesg_notices()
{
	(
		dmesg_mark self
		echo 'BUG: this is a test of the rig' >/dev/kmsg
		! dmesg_check 2>/dev/null
	)
}

echo "TAP version 13"
check "this is L1 with kernel ${PORTAL_KERNEL-}" in_rig
check "kvm-amd or kvm-intel is loaded" kvm_loaded
check "/dev/kvm creates a VM" kvm_works
check "modprobe finds the modules of this kernel" modprobe_works
check "the build directory can be written" build_is_shared
check "mounts and loopback are there" system_is_complete
check "dmesg_check notices a complaint" dmesg_notices
dmesg_mark rig-test
check "the L2 guest starts" guest_starts
check "it runs the expected kernel" guest_has_kernel
check "the exit status comes back" guest_hands_on_status
check "the output is exact" guest_output_is_exact
check "a command that hangs is stopped" guest_time_limit
check "concurrent commands take turns" guest_takes_turns
check "the guest loads its modules" guest_loads_modules
check "QMP answers" guest_qmp
check "the guest stops" "$guest" stop
check "the kernel did not complain" dmesg_check
echo "1..$count"
[ "$failed" -eq 0 ]
