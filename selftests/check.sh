#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# All tests: static checks, unit tests, and in the rig, for each kernel, the
# mock, real guests and an unmodified QEMU. Adds up what they count; the last
# line is the sum. usage: check.sh [static|unit|kernel|debug|flavours|long]...
set -u
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/.." && pwd -P)
cd "$top" || exit 1
build=${O:-build}
logs=$build/check
kernels=${PORTAL_KERNELS:-6.1 6.12}
passed=0 failed=0 skipped=0 again=()
last_try=4200	# seconds; CI's limit is 5400
mkdir -p "$logs"

title()
{
	printf '\n== %s (%d s)\n' "$1" "$SECONDS"
}

# one NAME COMMAND...: a check that passes or fails as a whole
one()
{
	local name=$1 log

	shift
	log=$logs/${name//[^a-z0-9.]/-}.log
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
		echo "ok - $name"
	else
		failed=$((failed + 1))
		echo "not ok - $name"
		tail -n 40 "$log" | sed 's/^/  /'
		return 1
	fi
}

# suite NAME COMMAND...: runs something that ends with "N passed, N failed, N
# skipped", or else prints TAP
suite()
{
	local name=$1 log sum status p f s

	shift
	log=$logs/${name//[^a-z0-9.]/-}.log
	"$@" 2>&1 | tee "$log" | grep -E --line-buffered '^not ok|^[0-9]+ passed|^# [a-z].*: ' | sed '/^not ok.*# *SKIP/d; s/^/  /'
	status=${PIPESTATUS[0]}
	sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
	if [ -n "$sum" ]; then
		read -r p f s <<<"$(tr -cs '0-9\n' ' ' <<<"$sum")"
	else
		# cmocka writes "not ok" before a skipped test, too
		s=$(grep -cE '^(not )?ok [0-9]+.*# *SKIP' "$log")
		p=$(grep -E '^ok [0-9]+' "$log" | grep -vcE '# *SKIP')
		f=$(grep -E '^not ok [0-9]+' "$log" | grep -vcE '# *SKIP')
	fi
	# a suite that dies without saying which test failed has failed too
	[ "$status" = 0 ] || [ "${f:-0}" -gt 0 ] || f=1
	[ $((p + f + ${s:-0})) -gt 0 ] || f=1
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + ${s:-0}))
	echo "$name: $p passed, $f failed, ${s:-0} skipped"
	if [ "$f" != 0 ]; then
		echo "  the end of $log:"
		tail -n 30 "$log" | sed 's/^/  /'
	fi
}

# failed_in LOG: the names of its failed programs or cases, a line each
failed_in()
{
	sed -n 's/^not ok [0-9]* \(- \)\{0,1\}\([^#]*[^# ]\) *\(#.*\)*$/\2/p' "$1"
}

# done_in LOG: the names of the cases of e2e.sh that passed, or were skipped
done_in()
{
	sed -n 's/^ok [0-9]* - //; T; s/ # SKIP .*//; p' "$1"
}

# rigged NAME KERNEL LIMIT [--one-thread] COMMAND...: a suite in a rig of its own.
# A guest of a guest under emulation may die or fall silent (selftests/rig/README.md):
# what did not pass there gets up to two more tries, each in a fresh rig, and
# is named when that is what it needed. Where KVM is real, one try has to do.
rigged()
{
	local name=$1 k=$2 limit=$3 before=$failed was=("$passed" "$skipped") try=1 names boot log
	local base ended

	shift 3
	boot=(selftests/rig/boot.sh --kernel "$k" --timeout "$limit" --silence 360)
	if [ "$1" = --one-thread ]; then
		boot+=("$1")
		shift
	fi
	base=${name//[^a-z0-9.]/-}
	log=$base
	: >"$logs/$base.done"
	set -- env PORTAL_CASES_DONE="$logs/$base.done" "$@"
	suite "$name" "${boot[@]}" --log "$logs/console-$log.log" -- "$@"
	while [ "$failed" != "$before" ] && [ $try -lt "$tries" ] && [ $SECONDS -lt $last_try ]; do
		try=$((try + 1))
		mapfile -t names < <(failed_in "$logs/$log.log")
		ended=$(grep -cE '^[0-9]+ passed, [0-9]+ failed' "$logs/$log.log")
		again+=("$name, try $try: ${names[*]}$([ "$ended" != 0 ] || echo " (ended early)")")
		echo "try $try: ${names[*]}$([ "$ended" != 0 ] || echo " and what was not run")"
		failed=$before
		case $* in
		*/e2e.sh)
			done_in "$logs/$log.log" >>"$logs/$base.done"
			;;
		*)
			if [ "$ended" = 0 ] || [[ $* == */systemd.sh ]]; then
				passed=${was[0]} skipped=${was[1]}	# all of it again
			elif [ $try = 2 ]; then
				set -- "$@" "${names[@]}"
			fi
			;;
		esac
		was=("$passed" "$skipped")
		log=$base--try-$try	# as suite() names it
		suite "$name, try $try" "${boot[@]}" --log "$logs/console-$log.log" -- "$@"
	done
}

release_of()
{
	[ -s "$build/rig/$1/release" ] || selftests/rig/kernel.sh "$1" >/dev/null || return
	cat "$build/rig/$1/release"
}

# Nothing that the compiler or sparse has to say about the kernel parts.
kernel_quiet()
{
	local log

	log=$(make -s "$@" 2>&1) || { echo "$log"; return 1; }
	log=$(grep -E 'warning|error' <<<"$log" | grep -v 'Skipping BTF')
	[ -z "$log" ] || { echo "$log"; return 1; }
}

shell_scripts()
{
	git ls-files '*.sh' .ci/run
}

# Each command of the interface by its name: PORTAL_X is row X.
commands_fuzzed()
{
	local name names status=0

	mapfile -t names < <(sed -n \
		's/^#define PORTAL_\([A-Z_]*\)[ \t]*_IO[A-Z]*(PORTAL_IOC_MAGIC.*/\1/p' \
		uapi/linux/portal.h uapi/linux/portal_mock.h)
	for name in "${names[@]}"; do
		grep -qE "\((PORTAL_)?$name\b|\bPORTAL_$name\b" selftests/fuzz_table.h || {
			echo "PORTAL_$name is not in selftests/fuzz_table.h"
			status=1
		}
	done
	return "$status"
}

# Each FILE:TEST that Documentation/ names is there, in the file or a header it has.
promises_have_tests()
{
	local file name path dir status=0

	while IFS=: read -r file name; do
		for dir in . selftests selftests/e2e daemon/tests libportal/tests; do
			path=$dir/$file
			[ ! -f "$path" ] || break
		done
		if ! [ -f "$path" ]; then
			echo "$file: no such file (for $name)"
			status=1
			continue
		fi
		sed -n "s|^#include \"\(.*\)\"|${path%/*}/\1|p" "$path" | cat - <(echo "$path") |
			xargs grep -qsw "$name" || { echo "$path: no $name"; status=1; }
	done < <(grep -ohE '[a-z0-9_/.]+_(test|cases)\.(c|sh):[a-z0-9_]+' \
		Documentation/*/*.rst | sort -u)
	return "$status"
}

static()
{
	local k release h

	title "static checks"
	for k in $kernels; do
		release=$(release_of "$k") || return
		one "portal.ko for $release, W=1 and sparse" \
			kernel_quiet module KVER="$release" KBUILD_EXTRA="W=1 C=1"
		one "portal.ko with the mock for $release, W=1" \
			kernel_quiet module KVER="$release" PORTAL_MOCK=y KBUILD_EXTRA=W=1
		one "portal_guest.ko for $release, W=1 and sparse" \
			kernel_quiet guest KVER="$release" KBUILD_EXTRA="W=1 C=1"
	done
	for h in uapi/linux/*.h; do
		one "${h##*/} alone, as C99 and C++" sh -c "
			echo '#include \"$h\"' | gcc -std=c99 -pedantic -Wall -Werror -x c -fsyntax-only - &&
			echo '#include \"$h\"' | g++ -Wall -Werror -x c++ -fsyntax-only -"
	done
	one "libkvmportal: versions, man pages, nothing changed" sh -c "make -s lib && libportal/check_abi.sh"
	one "every command is in the fuzzer's table" commands_fuzzed
	one "portal_cmd.h and commands.rst are what portal_cmd.def says" uapi/portal-cmd.sh --check
	one "every promise has its test" promises_have_tests
	# shellcheck disable=SC2046
	one "shellcheck" shellcheck -x $(shell_scripts)
	one "no path of this machine in a file" sh -c "! git grep -nF '$top/' -- ."
}

unit()
{
	title "unit tests"
	one "library and daemon build" make -s all
	export CMOCKA_MESSAGE_OUTPUT=TAP
	suite "libportal" make -s -C libportal check
	suite "daemon" make -s -C daemon check
	suite "fuzz" make -s -C daemon fuzz "FUZZ_SECONDS=${PORTAL_FUZZ_SECONDS:-60}"
	unset CMOCKA_MESSAGE_OUTPUT
}

kernel()
{
	local k release

	title "programs for the kernel tests"
	one "library, daemon and test programs build" make -s all guest-programs selftests || return
	for k in $kernels; do
		release=$(release_of "$k") || return
		one "modules for $release" sh -c "make -s module KVER=$release &&
			make -s module KVER=$release PORTAL_MOCK=y &&
			make -s test-modules KVER=$release && make -s guest KVER=$release" || return
		title "kernel $release: mock and real guests"
		rigged "selftests on $k" "$k" 900 \
			env "PORTAL_FUZZ_SECONDS=${PORTAL_FUZZ_SECONDS:-40}" \
			"PORTAL_DEATH_CYCLES=${PORTAL_DEATH_CYCLES:-100}" selftests/run.sh all
		rigged "patched text on $k" "$k" 900 --one-thread selftests/run.sh patch
		title "kernel $release: unmodified QEMU"
		one "guest for $release" selftests/e2e/prepare.sh "$k" || continue
		rigged "e2e on $k" "$k" 1800 selftests/e2e/e2e.sh
		rigged "systemd on $k" "$k" 400 selftests/e2e/systemd.sh
	done
}

# The same programs on a kernel that looks at itself: KASAN, lockdep, kmemleak and
# more. Twice as slow as the others under emulation.
debug()
{
	local release

	title "debug kernel"
	selftests/rig/deps.sh debug || return
	one "debug kernel" selftests/rig/debug-kernel.sh || return
	release=$(release_of 6.12-debug) || return
	one "programs for the debug kernel" make -s lib selftests || return
	one "modules for $release" sh -c "make -s module KVER=$release &&
		make -s module KVER=$release PORTAL_MOCK=y &&
		make -s test-modules KVER=$release" || return
	suite "selftests on the debug kernel" selftests/rig/boot.sh --kernel 6.12-debug \
		--timeout 3000 --log "$logs/console-debug.log" -- \
		env "PORTAL_FUZZ_SECONDS=${PORTAL_FUZZ_SECONDS:-60}" selftests/run.sh all
}

# What else Debian makes of the two kernels. The cloud ones cannot mount L0's root:
# there the mock's tests are in the initramfs.
flavours()
{
	local series k release

	title "cloud and rt kernels"
	selftests/rig/deps.sh flavours || return
	one "test programs build" make -s selftests || return
	for series in $kernels; do
		for k in "$series-rt" "$series-cloud"; do
			release=$(release_of "$k") || continue
			one "portal.ko with the mock for $release, W=1" \
				kernel_quiet module KVER="$release" PORTAL_MOCK=y KBUILD_EXTRA=W=1 ||
				continue
			case $k in
			*-rt)
				suite "selftests on $k" selftests/rig/boot.sh --kernel "$k" \
					--timeout 900 --log "$logs/console-$k.log" -- \
					selftests/run.sh mock
				;;
			*)
				suite "selftests on $k" selftests/rig/ramboot.sh "$k"
				;;
			esac
		done
	done
}

# Deaths in a thousand orders, on each kernel.
long()
{
	local k release

	title "long tests"
	one "test programs build" make -s lib selftests || return
	one "daemon's test programs build" make -s -C daemon power-cut-tools || return
	for k in ext4 xfs btrfs; do
		# 4: it cannot run here, and says why
		one "power cuts of $k" sh -c "daemon/tests/powercut.sh $k || [ \$? = 4 ]"
	done
	one "packages of Ceph" selftests/rig/deps.sh ceph
	suite "rbd on a Ceph cluster" env CMOCKA_MESSAGE_OUTPUT=TAP PORTAL_RBD_KILLS=10 \
		make -s -C daemon check-ceph
	for k in $kernels; do
		release=$(release_of "$k") || continue
		one "modules for $release" sh -c "make -s module KVER=$release &&
			make -s module KVER=$release PORTAL_MOCK=y" || continue
		set -- selftests/rig/boot.sh --kernel "$k" --timeout 7200 \
			--log "$logs/console-long-$k.log" -- \
			env PORTAL_DEATH_CYCLES=1000 PORTAL_FUZZ_SECONDS=600 \
			PORTAL_PROGRAM_TIMEOUT=3600 selftests/run.sh
		suite "1000 deaths and long fuzzing on $k" "$@" mock death_test fuzz_ops_test \
			fuzz_ring_test
		suite "1000 deaths of real VMs on $k" "$@" kvm kvm/death_test
	done
}

[ $# -gt 0 ] || set -- static unit kernel
tries=3
# shellcheck source=selftests/rig/lib.sh
[ "$(. selftests/rig/lib.sh && rig_accel)" = tcg ] || tries=1
selftests/rig/deps.sh build rig check libkvm || exit 1
for part; do
	case $part in
	static | unit | kernel | debug | flavours | long) "$part" ;;
	*) echo "usage: check.sh [static|unit|kernel|debug|flavours|long]..." >&2; exit 2 ;;
	esac
done
echo
[ ${#again[@]} = 0 ] || printf 'not at once: %s\n' "${again[@]}"
echo "took $SECONDS s; logs in $logs"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
