#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the tests on the running kernel, as root: loads the module that was
# built for it, runs each program, scans the kernel log after each, unloads.
# usage: run.sh [mock|kvm|patch|all] [PROGRAM...]
set -u

self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/.." && pwd -P)
build=${O:-build}
case $build in
/*) ;;
*) build=$top/$build ;;
esac
programs=$build/selftests
kmod=$build/kmod/$(uname -r)
# per program; a test in it has its own, shorter limit
timeout=${PORTAL_PROGRAM_TIMEOUT:-$(sed -n 's/^timeout=//p' "$self/settings")}
kmemleak=/sys/kernel/debug/kmemleak
passed=0 failed=0 skipped=0 number=0

# shellcheck source=selftests/rig/dmesg.sh
. "$self/rig/dmesg.sh"

usage()
{
	echo "usage: run.sh [mock|kvm|patch|all] [PROGRAM...]"
	echo "  mock  programs on the mock build ($kmod-mock/portal.ko)"
	echo "  kvm   programs with real guests ($kmod/portal.ko)"
	echo "  patch those that have the kernel patched while guests run, over and"
	echo "        over: not in \"all\", see boot.sh --one-thread"
	exit 2
}

# result STATUS NAME [REASON]: one TAP line for a program or a step
result()
{
	number=$((number + 1))
	case $1 in
	ok) echo "ok $number $2${3:+ # SKIP $3}" ;;
	*) echo "not ok $number $2${3:+ # $3}" ;;
	esac
}

# step NAME COMMAND...: something that counts only if it fails
step()
{
	local name=$1 out

	shift
	out=$("$@" 2>&1) && return
	failed=$((failed + 1))
	result fail "$name" "${out:-status $?}"
	return 1
}

# count FILE: adds up the tests of a program, whose lines are indented here
count()
{
	local p f s

	p=$(grep -cE '^ok [0-9]+ ' "$1")
	s=$(grep -cE '^ok [0-9]+ .*# SKIP' "$1")
	f=$(grep -cE '^not ok [0-9]+ ' "$1")
	passed=$((passed + p - s))
	skipped=$((skipped + s))
	failed=$((failed + f))
	echo "$f"
}

run_program()
{
	local name=$1 program=$programs/$1 log bad status plan

	if [ ! -x "$program" ]; then
		failed=$((failed + 1))
		result fail "$name" "not built: make -C selftests"
		return
	fi
	log=$(mktemp)
	dmesg_allow=
	# vmalloc() says with a stack that it failed, as it is made to there
	[ "$name" != fault_test ] || dmesg_allow='Call Trace:|RIP: 0033:| \? lockdep_'
	dmesg_mark "$name"
	timeout --kill-after=10 "$timeout" "$program" >"$log" 2>&1
	status=$?
	# the lines of single tests are a level below ours
	sed 's/^/  /' "$log"
	bad=0
	count "$log" >"$log.bad"
	bad=$(cat "$log.bad")
	plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$log" | head -n 1)
	if [ "${plan:-none}" != "$(grep -cE '^(not )?ok [0-9]+ ' "$log")" ]; then
		# died or was stopped before it had told all
		failed=$((failed + 1))
		result fail "$name" "status $status after $(grep -cE '^(not )?ok ' "$log") of ${plan:-no} tests"
	elif ! dmesg_check; then
		failed=$((failed + 1))
		result fail "$name" "the kernel complained"
	elif [ "$bad" -gt 0 ]; then
		result fail "$name" "$bad failed"
	else
		result ok "$name"
	fi
	rm -f "$log" "$log.bad"
}

# suite MODULE PROGRAM...: load, run, unload
suite()
{
	local module=$1 name

	shift
	if [ ! -e "$module" ]; then
		failed=$((failed + 1))
		result fail "insmod" "not built: ${module#"$top/"}"
		return
	fi
	dmesg_mark "insmod"
	# for the tests that load modules
	export PORTAL_MODULE=$module PORTAL_TEST_MODULES=$kmod-test
	# what portal.ko needs; it is no harm if there is none
	modprobe -q kvm
	step insmod insmod "$module" || return
	[ -e /dev/portal ] || step "/dev/portal" udevadm settle
	[ ! -w "$kmemleak" ] || echo clear >"$kmemleak"
	for name; do
		run_program "$name"
	done
	[ ! -w "$kmemleak" ] || step kmemleak no_leaks
	# nothing a test left behind may hold it; dying processes get a moment
	step rmmod rmmod_patiently
	step "dmesg of rmmod" dmesg_check
}

# Where the kernel can tell (make check-debug): is any memory that we allocated
# lost? It reports what is older than 5 s and was not found by two scans. Before
# rmmod, as it names the functions; those of a module that has gone have no names.
no_leaks()
{
	local ours

	sleep 6
	# refused once it has given up
	echo scan >"$kmemleak" && echo scan >"$kmemleak" || return
	ours=$(awk '/^unreferenced/ { if (hit) printf "%s", text; text = ""; hit = 0 }
		{ text = text $0 "\n" }
		/\[portal\]|^ +0x[0-9a-f]+$/ { hit = 1 }
		END { if (hit) printf "%s", text }' "$kmemleak")
	[ -n "$ours" ] || return 0
	echo "memory is lost:"
	echo "$ours" | sed 's/^/# /' | head -n 60
	return 1
}

rmmod_patiently()
{
	local i

	for ((i = 0; i < 50; i++)); do
		rmmod portal 2>/dev/null && return
		sleep 0.1
	done
	rmmod portal
}

patching="kvm/neighbour_test kvm/reload_test"

# list DIRECTORY [PROGRAM...]: those of the PROGRAMs that are in it; without, all
list()
{
	local dir=$1 name

	shift
	if [ $# -gt 0 ]; then
		for name; do
			[ "${name%"${name##*/}"}" != "$dir" ] || echo "$name"
		done
		return
	fi
	for name in "$self/$dir"*_test.c; do
		name=${name#"$self/"}
		[[ " $patching " == *" ${name%.c} "* ]] || echo "${name%.c}"
	done
}

what=${1:-all}
[ $# -eq 0 ] || shift
[ "$(id -u)" -eq 0 ] || { echo "run.sh: must be root" >&2; exit 2; }
echo "TAP version 13"
case $what in
mock | kvm | all) ;;
patch)
	what=kvm
	# shellcheck disable=SC2086 # a list
	[ $# -gt 0 ] || set -- $patching
	;;
*) usage ;;
esac
if [ "$what" != kvm ]; then
	mapfile -t names < <(list "" "$@")
	[ ${#names[@]} -eq 0 ] || suite "$kmod-mock/portal.ko" "${names[@]}"
fi
if [ "$what" != mock ]; then
	mapfile -t names < <(list kvm/ "$@")
	[ ${#names[@]} -eq 0 ] || suite "$kmod/portal.ko" "${names[@]}"
fi
if [ "$number" -eq 0 ]; then
	echo "run.sh: $what has none of: $*" >&2
	exit 2
fi
echo "1..$number"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
