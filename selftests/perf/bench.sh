#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What portal costs, as ratios, on each of ${PORTAL_KERNELS:-6.1 6.12} in the
# rig: exits (bench.c) and disks (blk.sh). Results: build/bench.json. See README.md.
# usage: bench.sh [OPTION OF bench...]
set -u
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/../.." && pwd -P)
cd "$top" || exit 1
build=${O:-build}
case $build in
/*) ;;
*) build=$top/$build ;;
esac
export O=$build
out=$build/perf
void=3

# in_l1 KERNEL OPTION...: what bench.sh runs in L1
in_l1()
{
	local kernel=$1 status

	shift
	# shellcheck source=selftests/rig/dmesg.sh
	. "$top/selftests/rig/dmesg.sh"
	echo "clock: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
	dmesg_mark bench
	"$out/bench" --module "$out/$kernel.ko" --json "$out/$kernel.json" \
		--text "$out/$kernel.txt" --kernel "$kernel" "$@"
	status=$?
	insmod "$out/$kernel.ko" &&
		"$out/scale" "$kernel" "$out/scale.json" "$out/scale.txt" || return 1
	cat "$out/scale.json" >>"$out/$kernel.json"
	cat "$out/scale.txt" >>"$out/$kernel.txt"
	dmesg_check || return 1
	return "$status"
}

if [ "${1-}" = --l1 ]; then
	shift
	in_l1 "$@"
	exit
fi

# one KERNEL OPTION...: build, boot, run
one()
{
	local kernel=$1 release

	[ -s "$build/rig/$kernel/release" ] || selftests/rig/kernel.sh "$kernel" >/dev/null ||
		return
	release=$(cat "$build/rig/$kernel/release")
	make -s module KVER="$release" >"$out/$kernel.log" 2>&1 || {
		cat "$out/$kernel.log" >&2
		return 1
	}
	# a copy: whoever builds meanwhile does not change what is measured
	cp "$build/kmod/$release/portal.ko" "$out/$kernel.ko" || return
	rm -f "$out/$kernel.json" "$out/$kernel.txt"
	shift
	# TCG's L1 would else read the HPET for the time, an emulated device: that
	# would be the cost of whatever looks at the clock
	PORTAL_RIG_ALONE=1 selftests/rig/boot.sh --kernel "$kernel" --timeout 600 --log "$out/$kernel.log" \
		--append tsc=reliable -- selftests/perf/bench.sh --l1 "$kernel" "$@"
}

status=0 done=() disks=()
mkdir -p "$out"
selftests/rig/deps.sh build rig || exit 1
make -s lib && make -s -C selftests/perf O="$build" || exit 1
for kernel in ${PORTAL_KERNELS:-6.1 6.12}; do
	echo "bench: kernel $kernel" >&2
	one "$kernel" "$@"
	result=$?
	[ "$result" = 0 ] || status=$result
	case $result in
	0 | "$void") done+=("$kernel") ;;
	*) echo "bench: kernel $kernel: failed ($result), see ${out#"$top/"}/$kernel.log" >&2 ;;
	esac
	[ $# = 0 ] || continue
	echo "bench: disks on kernel $kernel" >&2
	rm -f "$out/blk-$kernel.json"
	if selftests/perf/blk.sh "$kernel" >"$out/blk-$kernel.txt"; then
		disks+=("$kernel")
	else
		status=1
		echo "bench: disks on kernel $kernel: failed, see ${out#"$top/"}/blk-$kernel.log" >&2
	fi
done

{
	for kernel in "${done[@]}"; do
		cat "$out/$kernel.json"
	done
	for kernel in "${disks[@]}"; do
		cat "$out/blk-$kernel.json"
	done
} | sed -e '$!s/$/,/' -e '1s/^/[\n/' -e '$s/$/\n]/' >"$build/bench.json"
for kernel in "${done[@]}"; do
	echo
	cat "$out/$kernel.txt"
done
for kernel in "${disks[@]}"; do
	echo
	cat "$out/blk-$kernel.txt"
done
echo
echo "Exits: lower is better. ns: of this rig, not of a machine. $(git log -1 --format='portal %h' 2>/dev/null)"
exit "$status"
