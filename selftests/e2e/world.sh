# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # work, build and top are e2e.sh's
#
# What a case needs to be there: the module, portald, an unmodified QEMU, the VM
# attached, the guest's driver, its disk. Each need_ function looks first, so a
# case can be run alone, and after one that left a mess.

socket=$work/control
portald_log=$work/portald.log
guest="selftests/rig/qemu-guest.sh --name e2e"
other="selftests/rig/qemu-guest.sh --name other"
# what qemu-guest.sh run, qmp, pid and console use: asked often, so without it
guest_run=$build/rig/guest-run
guest_dir=/run/portal-rig/e2e
instances=echo,hello,slow,regs,disk,raw,ro,agent
# a plugin that is left out where Python's headers are not
[ ! -e "$build/daemon/plugins/python.so" ] || instances+=,look

make_world()
{
	mkdir -p "$work/plugins" "$work/directory" "$work/rofs"
	cp "$build"/daemon/plugins/*.so "$build"/e2e/plugins/*.so "$work/plugins/"
	cp --sparse=always "$build/e2e/files.img" "$work/disk.img"
	cp --sparse=always "$build/e2e/files.img" "$work/ro.img"
	truncate -s 32M "$work/raw.img"
	truncate -s 1M "$work/locked.img"
	mount -t tmpfs e2e "$work/rofs"
	truncate -s 1M "$work/rofs/x.img"
	mount -o remount,ro "$work/rofs"
	world_config >"$work/portald.conf"
}

world_config()
{
	cat <<-CONF
	[portald]
	socket = $socket
	[instance echo]
	plugin = echo
	[instance hello]
	plugin = hello
	worker_timeout = 5
	[instance slow]
	plugin = slow
	[instance regs]
	plugin = regs
	[instance disk]
	plugin = file
	frontend = virtio-blk
	serial = E2E-DISK
	path = $work/disk.img
	[instance raw]
	plugin = file
	frontend = virtio-blk
	serial = E2E-RAW
	path = $work/raw.img
	[instance ro]
	plugin = file
	frontend = virtio-blk
	serial = E2E-RO
	path = $work/ro.img
	readonly = on
	[instance agent]
	plugin = agent
	[instance look]
	plugin = python
	script = $top/daemon/plugins/python/examples/hello.py
	[instance bad-key]
	plugin = hello
	greting = good morning
	[instance bad-value]
	plugin = file
	frontend = virtio-blk
	path = $work/raw.img
	readonly = perhaps
	[instance bad-plugin]
	plugin = nosuch
	[instance bad-version]
	plugin = newer
	[instance bad-object]
	plugin = nosymbol
	[instance bad-missing]
	plugin = file
	frontend = virtio-blk
	path = $work/missing.img
	[instance bad-directory]
	plugin = file
	frontend = virtio-blk
	path = $work/directory
	[instance bad-rofs]
	plugin = file
	frontend = virtio-blk
	path = $work/rofs/x.img
	[instance good-rofs]
	plugin = file
	frontend = virtio-blk
	path = $work/rofs/x.img
	readonly = on
	[instance bad-locked]
	plugin = file
	frontend = virtio-blk
	path = $work/locked.img
	CONF
}

end_world()
{
	end_background
	[ ! -s "$work/portald.pid" ] || kill "$(cat "$work/portald.pid")" 2>/dev/null
	$guest stop >/dev/null 2>&1
	$other stop >/dev/null 2>&1
	[ ! -d /sys/module/portal ] || until_true 15 rmmod portal
	umount "$work/rofs"
	rm -rf "$work"
}

# what is said about a failure, and not believed after it
diagnose()
{
	echo "portald's log:"
	tail -n 12 "$portald_log" 2>/dev/null
	dmesg_since | tail -n 12
	echo "the guest's console:"
	tail -n 15 $guest_dir/console 2>/dev/null | tr -d '\r'
	# QEMU's log has the registers of before each reset
	grep -s -B5 -A14 '^RIP=' $guest_dir/qemu.log | tail -n 22 | sed '1i a reset came from:'
}

distrust()
{
	rm -f "$work/driver"
}

# After a case that failed the guest may be beyond repair.
suspect()
{
	distrust
	: >"$work/suspect"
}

# ---- programs -----------------------------------------------------------------

ctl()
{
	timeout 60 "$build/daemon/portalctl" --socket "$socket" "$@"
}

in_guest()	# SECONDS COMMAND...
{
	local limit=$1

	shift
	"$guest_run" $guest_dir/serial --timeout "$limit" "$*"
}

# guest_start NAME COMMAND...: in the guest's background
guest_start()
{
	local name=$1

	shift
	in_guest 30 "rm -f /tmp/$name.*; ($* >/tmp/$name.out 2>&1; echo \$? >/tmp/$name.rc) &"
}

guest_said()	# NAME PATTERN
{
	in_guest 30 "grep -qE '$2' /tmp/$1.out"
}

guest_ended()
{
	in_guest 30 "[ -s /tmp/$1.rc ]"
}

# guest_result NAME SECONDS: waits for its end, prints what it said
guest_result()
{
	local status

	until_true "$2" guest_ended "$1" || fail "in the guest $1 does not end within $2 s"
	status=$(in_guest 30 "cat /tmp/$1.rc")
	in_guest 30 "cat /tmp/$1.out"
	return "$status"
}

# guest_fails NAME SECONDS: it ends, with an error
guest_fails()
{
	until_true "$2" guest_ended "$1" || fail "in the guest $1 does not end within $2 s"
	[ "$(in_guest 30 "cat /tmp/$1.rc")" != 0 ] || fail "in the guest $1 succeeds"
}

# start_load: the raw disk is written and read from now on
start_load()
{
	loaded() { in_guest 30 '[ -s /tmp/rounds ]'; }
	in_guest 30 'rm -f /tmp/rounds'
	guest_start load 'e2e-guest load'
	within 60 loaded
}

qmp()	# COMMAND
{
	"$guest_run" --qmp $guest_dir/qmp --timeout 30 "{\"execute\":\"$1\"}"
}

qemu_state()
{
	qmp query-status | jq -r '.. | .status? // empty' | head -n 1
}

# ---- numbers ------------------------------------------------------------------

vm_stat()	# JQ-PATH, of the VM e2e
{
	ctl --json stat e2e | jq -r ".vms[0]$1"
}

inst_stat()	# INSTANCE JQ-PATH
{
	vm_stat ".instances[] | select(.name == \"$1\") | $2"
}

inst_is()	# INSTANCE JQ-PATH VALUE
{
	[ "$(inst_stat "$1" "$2")" = "$3" ]
}

portald_pid()
{
	cat "$work/portald.pid" 2>/dev/null
}

# nothing if there is none
qemu_pid()
{
	local pid

	pid=$(cat $guest_dir/pid 2>/dev/null) || return 0
	ended "$pid" || echo "$pid"
}

workers()
{
	pgrep -f -- "portald --worker" || true
}

log_lines()
{
	wc -l <"$portald_log"
}

# log_since LINES: what portald said after its first LINES lines
log_since()
{
	tail -n +$(($1 + 1)) "$portald_log"
}

# ---- states -------------------------------------------------------------------

need_module()
{
	[ -c /dev/portal ] || insmod "$build/kmod/$(uname -r)/portal.ko"
}

portald_alive()
{
	[ -n "$(portald_pid)" ] && ! ended "$(portald_pid)"
}

need_portald()
{
	! portald_alive || return 0
	setsid "$build/daemon/portald" --config "$work/portald.conf" \
		--plugin-dir "$work/plugins" >>"$portald_log" 2>&1 </dev/null &
	echo $! >"$work/portald.pid"
	within 20 ctl list
}

stop_portald()
{
	portald_alive || return 0
	kill -TERM "$(portald_pid)"
	within 20 ended "$(portald_pid)"
}

# The rig's -no-reboot ends QEMU at a reset; the later -action wins.
need_guest()
{
	local pid

	pid=$(qemu_pid)
	if [ -n "$pid" ] && [ -e "$work/suspect" ] && ! in_guest 30 e2e-guest stuck; then
		kill -9 "$pid"
		within 20 ended "$pid"
	fi
	rm -f "$work/suspect"
	if [ -z "$(qemu_pid)" ]; then
		distrust
		rm -f "$work/one-cpu"
		$guest start -action reboot=reset
	elif [ -e "$work/one-cpu" ] && [ -z "${one_cpu-}" ]; then
		in_guest 60 'echo 1 >/sys/devices/system/cpu/cpu1/online'
		rm -f "$work/one-cpu"
	fi
}

# An emulated CPU that runs what another one patches may go astray (the rig's
# README): the guest goes on with one, until a case that does not ask for this.
need_one_cpu()
{
	one_cpu=1
	need_guest
	if grep -q TCG /proc/cpuinfo && [ ! -e "$work/one-cpu" ]; then
		: >"$work/one-cpu"
		in_guest 60 'echo 0 >/sys/devices/system/cpu/cpu1/online'
	fi
}

attached()
{
	ctl list | grep -q '^e2e '
}

need_attached()
{
	need_module
	need_portald
	need_guest
	attached || ctl attach --pid "$(qemu_pid)" --name e2e --instances $instances
}

# The guest's modules, all disks. Asked once, until a case changes it.
need_driver()
{
	need_attached
	[ ! -e "$work/driver" ] || return 0
	in_guest 120 e2e-guest up
	: >"$work/driver"
}

# need_agent CLASSES: the guest's owner allows these
need_agent()
{
	need_driver
	if [ "$(in_guest 30 'cat /sys/module/portal_guest/parameters/agent')" != "$1" ]; then
		in_guest 60 e2e-guest unmount
		distrust
		in_guest 60 rmmod portal_guest
		in_guest 60 modprobe portal_guest "agent=$1"
		need_driver
	fi
	within 30 inst_is agent .guest enabled
}

need_detached()
{
	! attached || ctl detach --timeout 20 e2e
	distrust
}
