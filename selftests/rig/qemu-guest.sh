#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Inside L1: runs an unmodified QEMU with a stock Debian kernel as the L2
# guest, and talks to it. guest.sh has built the initramfs before.
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "${0%/*}/lib.sh"
rig_die_status=125

usage()
{
	cat <<-'USAGE'
	usage: qemu-guest.sh [--name NAME] VERB
	  start [QEMU-OPTION...]        start, wait for the agent, print the PID
	  run [--timeout S] COMMAND...  run a command in the guest
	  qmp JSON                      send one QMP command, print the answer
	  pid | console | dir           print the PID, the console log, the
	                                directory with console, serial and qmp
	  wait                          wait for the agent (after start --nowait)
	  why                           for a guest that hangs: its console, QEMU's
	                                threads, the vCPUs' registers
	  stop                          quit QEMU
	start --nowait returns at once. Several guests: give each its --name.
	Environment, with defaults:
	  PORTAL_GUEST_KERNEL   kernel below build/rig ($PORTAL_KERNEL or 6.12)
	  PORTAL_GUEST_INITRD   initramfs (guest.cpio.gz of that kernel)
	  PORTAL_GUEST_MACHINE  pc
	  PORTAL_GUEST_CPUS     2
	  PORTAL_GUEST_MEM      512M
	  PORTAL_GUEST_APPEND   pci=noearly (more words for the guest's command
	                        line; this one saves 2 s of probing for AGP)
	  PORTAL_GUEST_TIMEOUT  seconds the guest has to come up (120)
	USAGE
	exit "${1:-125}"
}

name=guest
if [ "${1-}" = --name ]; then
	[ $# -ge 2 ] || usage
	name=$2
	shift 2
fi
[ $# -ge 1 ] || usage
verb=$1
shift

state=/run/portal-rig/$name
client=$rig_dir/guest-run

guest_pid()
{
	cat "$state/pid" 2>/dev/null
}

alive()
{
	local pid

	pid=$(guest_pid) && kill -0 "$pid" 2>/dev/null
}

# poll_until SECONDS CONDITION...: looks often at first and more rarely later,
# so that a quick change is seen at once and a slow one costs little.
poll_until()
{
	local deadline=$((SECONDS + $1)) interval=20

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return
		sleep "0.$(printf %03d "$interval")"
		interval=$((interval * 3 / 2))
		[ "$interval" -le 500 ] || interval=500
	done
}

ready_or_dead()
{
	grep -q '^rig-agent: ready' "$state/console" || ! alive
}

gone()
{
	! alive
}

show_console()
{
	say "end of the guest's console:"
	tail -n 40 "$state/console" | tr -d '\r' >&2
	say "end of its QEMU's log:"
	tail -n 40 "$state/qemu.log" >&2
}

guest_wait()
{
	local limit=${PORTAL_GUEST_TIMEOUT:-120}

	if ! poll_until "$limit" ready_or_dead; then
		show_console
		rig_die_status=124 die "$name is not up after $limit s"
	fi
	alive || {
		show_console
		die "$name died while it booted"
	}
	# The line on the console was the guest's word; this is the proof.
	"$client" "$state/serial" --timeout 30 true || die "no agent in $name"
}

guest_start()
{
	local kernel=${PORTAL_GUEST_KERNEL:-${PORTAL_KERNEL:-6.12}} nowait=''
	local initrd=${PORTAL_GUEST_INITRD:-$rig_dir/$kernel/guest.cpio.gz}
	local machine=${PORTAL_GUEST_MACHINE:-pc}
	local append="console=ttyS0 quiet panic=-1" line
	append+=" ${PORTAL_GUEST_APPEND-pci=noearly}"

	if [ "${1-}" = --nowait ]; then
		nowait=1
		shift
	fi
	line=(-serial "unix:$state/serial,server=on,wait=off")
	# A microvm has one serial port, but a bus for more.
	[[ $machine != microvm* ]] ||
		line=(-chardev "socket,id=line,path=$state/serial,server=on,wait=off"
			-device "isa-serial,chardev=line,index=1")
	[ -s "$initrd" ] || die "$initrd is missing: run guest.sh on the host"
	alive && die "$name is running already"
	rm -rf "$state"
	mkdir -p "$state"
	: >"$state/console"
	# No memory backend, no huge pages, nothing shared: the RAM is the
	# private anonymous memory any user's QEMU has.
	qemu-system-x86_64 -name "$name" -accel kvm -cpu host \
		-machine "$machine" \
		-smp "${PORTAL_GUEST_CPUS:-2}" -m "${PORTAL_GUEST_MEM:-512M}" \
		-display none -no-user-config -nodefaults -no-reboot \
		-kernel "$rig_dir/$kernel/vmlinuz" -initrd "$initrd" \
		-append "$append" \
		-serial "file:$state/console" \
		"${line[@]}" \
		-qmp "unix:$state/qmp,server=on,wait=off" \
		-pidfile "$state/pid" -daemonize \
		-D "$state/qemu.log" -d cpu_reset "$@" || {
		show_console
		die "QEMU for $name does not start"
	}
	[ -n "$nowait" ] || guest_wait
	guest_pid
}

guest_stop()
{
	local pid

	alive || die "$name is not running"
	pid=$(guest_pid)
	"$client" --qmp "$state/qmp" --timeout 10 '{"execute":"quit"}' \
		>/dev/null 2>&1 || true
	poll_until 10 gone && return
	say "$name did not quit: killing it"
	kill -KILL "$pid"
	poll_until 10 gone || die "QEMU $pid cannot be killed"
}

# guest_why: is it the guest, its QEMU, or whom they wait for?
guest_why()
{
	local pid task

	show_console
	pid=$(guest_pid) || return
	say "threads of QEMU $pid:"
	for task in /proc/"$pid"/task/*; do
		echo "$(cat "$task/comm"): $(cut -d' ' -f3,14,15 "$task/stat")"
		sed 's/^/  /' "$task/stack"
	done >&2
	say "vCPUs, twice:"
	for _ in 1 2; do
		"$client" --qmp "$state/qmp" --timeout 10 \
			'{"execute":"human-monitor-command","arguments":{"command-line":"info registers -a"}}' |
			sed 's/\\r\\n/\n/g' | grep -E '^CPU#|RIP=' >&2
	done
}

case $verb in
-h | --help | pid | console | dir) ;;
*) [ -x "$client" ] || die "$client is missing: run guest.sh on the host" ;;
esac
case $verb in
-h | --help) usage 0 ;;
start) guest_start "$@" ;;
wait) guest_wait ;;
why) guest_why ;;
stop) guest_stop ;;
run)
	limit=(--timeout 60)
	if [ "${1-}" = --timeout ]; then
		limit=(--timeout "${2-}")
		shift 2
	fi
	status=0
	"$client" "$state/serial" "${limit[@]}" "$@" || status=$?
	# Nothing else will tell why it died.
	[ "$status" -ne 125 ] || alive || show_console
	exit "$status"
	;;
qmp) exec "$client" --qmp "$state/qmp" --timeout 30 "$@" ;;
pid) alive && guest_pid ;;
console) cat "$state/console" ;;
dir) echo "$state" ;;
*) usage ;;
esac
