#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317,SC2086 # called by test_case and within; words
#
# Run by systemd.sh as a unit of the systemd under test: an administrator's day
# with portald.service, and an unmodified QEMU of a user in group portal.
set -u
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/../.." && pwd -P)
cd "$top" || exit 1
build=$O
run=/run/portal-systemd
work=$run/work
# shellcheck disable=SC2034 # test_case's
case_pattern=${1:-.}
user=portaluser
guest_dir=/run/portal-rig/sd
images=/var/lib/portal
mkdir -p $work

# shellcheck source=selftests/demo/lib.sh
. "$self/../demo/lib.sh"
# shellcheck source=selftests/rig/dmesg.sh
. "$self/../rig/dmesg.sh"
# shellcheck source=selftests/e2e/lib.sh
. "$self/lib.sh"

suspect() { :; }

diagnose()
{
	systemctl status --no-pager -l -n 30 portald.service
	dmesg_since | tail -n 12
}

show()		# PROPERTY
{
	systemctl show --value -p "$1" portald.service
}

is()		# PROPERTY VALUE
{
	[ "$(show "$1")" = "$2" ]
}

status_is()	# TEXT
{
	is StatusText "$1"
}

as_user()
{
	setpriv --reuid $user --regid $user --init-groups "$@"
}

in_guest()	# SECONDS COMMAND...
{
	local limit=$1

	shift
	"$build/rig/guest-run" $guest_dir/serial --timeout "$limit" "$*"
}

main_pid()
{
	show MainPID
}

new_main()	# OLD
{
	[ "$(main_pid)" != 0 ] && [ "$(main_pid)" != "$1" ] && is ActiveState active
}

workers()
{
	pgrep -f -- "portald --worker" || true
}

all_workers_run()
{
	portalctl --json list | jq -e '[.vms[].instances[].worker] | length > 0 and
		all(. == "running")' >/dev/null
}

rounds()
{
	in_guest 30 'cat /tmp/rounds'
}

more_rounds()	# THAN
{
	[ "$(rounds)" -gt "$1" ]
}

journal()
{
	journalctl --sync
	journalctl -q -u portald.service --no-pager "$@"
}

# ---- cases --------------------------------------------------------------------

unit_is_right()
{
	local out

	out=$(systemd-analyze verify --man=no portald.service 2>&1) || fail "$out"
	equal "what systemd-analyze says" "$out" ""
	says '(OK|SAFE)' systemd-analyze security --no-pager portald.service
}

group_and_directories()
{
	says '^portal:' getent group portal
	equal "/etc/portald.conf.d" "$(stat -c '%U:%G %a' /etc/portald.conf.d)" "root:root 755"
	equal "/run/portald" "$(stat -c '%U:%G %a' /run/portald)" "root:root 755"
}

device_rule()
{
	is_ours() { [ "$(stat -c '%U:%G %a' /dev/portal)" = "root:portal 660" ]; }
	insmod "$build/kmod/$(uname -r)/portal.ko"
	within 20 is_ours
	within 20 systemctl is-active -q dev-portal.device
}

service_starts()
{
	systemctl start portald.service
	is ActiveState active || fail "state $(show ActiveState) $(show Result)"
	within 10 status_is "0 VMs attached"
	equal "the socket" "$(stat -c '%U:%G %a' /run/portald/control)" "root:portal 660"
	says '^no VM is attached' as_user portalctl list
	refuses 'member of group portal' setpriv --reuid nobody --regid nogroup --clear-groups \
		portalctl list
}

# Not root, and QEMU is neither: who is in the group attaches what is his.
user_attaches()
{
	local pid

	install -d -o $user /run/portal-rig
	chmod 666 /dev/kvm
	as_user env PATH="$PATH" O="$build" PORTAL_KERNEL="$PORTAL_KERNEL" \
		PORTAL_GUEST_INITRD="$build/e2e/guest-$PORTAL_KERNEL.cpio.gz" \
		selftests/rig/qemu-guest.sh --name sd start -action reboot=reset
	pid=$(cat $guest_dir/pid)
	equal "QEMU's user" "$(stat -c %U "/proc/$pid")" $user
	says 'sd: attached, 5 instances' as_user portalctl attach --pid "$pid"
	within 10 status_is "1 VM attached"
	in_guest 120 e2e-guest up
	says '^42$' in_guest 30 portal-call echo 0 42
	in_guest 60 e2e-guest mount
	says '^[0-9]+$' in_guest 120 e2e-guest verify
}

load_starts()
{
	loaded() { in_guest 30 '[ -s /tmp/rounds ]'; }
	in_guest 30 'rm -f /tmp/load.* /tmp/rounds
		(e2e-guest load >/tmp/load.out 2>&1; echo $? >/tmp/load.rc) &'
	within 60 loaded
}

reload_works()
{
	local pid

	pid=$(main_pid)
	printf '[instance bad]\nplugn = echo\n' >/etc/portald.conf.d/bad.conf
	systemctl reload portald.service
	complained() { journal -p err | grep -q 'bad.conf:1: \[instance bad\] names no plugin'; }
	within 20 complained
	rm /etc/portald.conf.d/bad.conf
	systemctl reload portald.service
	reloaded() { journal | grep -q 'configuration reloaded: 5 instances'; }
	within 20 reloaded
	within 20 is ActiveState active
	equal "the main process" "$(main_pid)" "$pid"
	status_is "1 VM attached" || fail "status: $(show StatusText)"
}

# goes_on COMMAND...: the guest does not notice what the command does to portald
goes_on()
{
	local pid before

	pid=$(main_pid)
	"$@"
	within 40 new_main "$pid"
	within 40 status_is "1 VM attached"
	within 40 all_workers_run
	before=$(rounds)
	within 60 more_rounds $((before + 1))
	not in_guest 30 '[ -e /tmp/load.rc ]'
	says '^43$' in_guest 30 portal-call echo 0 43
	says '^sd ' as_user portalctl list
}

kill_main()
{
	systemctl kill --kill-whom=main --signal=KILL portald.service
}

killed_in_a_copy()
{
	load_starts
	goes_on kill_main
	equal "restarts by systemd" "$(show NRestarts)" 1
}

# With a mistake in the configuration, too: the next reload finds it mended.
restarted_in_a_copy()
{
	printf '[instance bad]\nplugn = echo\n' >/etc/portald.conf.d/bad.conf
	goes_on systemctl restart portald.service
	journal -p err | grep -q 'VMs attached before go on'
	rm /etc/portald.conf.d/bad.conf
	systemctl reload portald.service
	usable() { journal -n 5 | grep -q 'configuration reloaded: 5 instances'; }
	within 20 usable
	in_guest 30 'touch /tmp/enough'
	ended_well() { in_guest 30 'grep -qx 0 /tmp/load.rc'; }
	within 60 ended_well
	says '^[0-9]+$' in_guest 120 e2e-guest verify
}

# "restart = off": its first death is the last
failure_is_shown()
{
	kill -9 "$(portalctl --json stat sd | jq '.vms[0].instances[] | select(.name == "hello").pid')"
	within 20 status_is "1 VM attached, 1 instance failed"
	says 'hello: restarted' as_user portalctl restart sd hello
	within 20 status_is "1 VM attached"
	back() { in_guest 30 'portal-call hello 0'; }
	within 20 back
}

journal_is_readable()
{
	journal -o cat >$work/journal
	says 'sd: attached \(pid [0-9]+, uid [0-9]+, 5 instances\)' cat $work/journal
	says 'sd: goes on' cat $work/journal
	refuses '' grep -nE '^<[0-7]>' $work/journal
	says 'sd: attached' journal -p notice
	refuses '' grep -q 'sd: attached' <(journal -p warning)
}

service_stops()
{
	in_guest 60 e2e-guest unmount
	systemctl stop portald.service
	is ActiveState inactive || fail "state $(show ActiveState), $(show Result)"
	equal "workers" "$(workers)" ""
	equal "processes" "$(pgrep -x portald || true)" ""
	not test -e /run/portald/control
	# all that systemd kept is closed: nobody uses the module
	within 20 rmmod portal
	in_guest 60 e2e-guest alive
	refuses 'portald is not running' portalctl list
}

test_case "systemd: the unit file is right" unit_is_right
test_case "systemd: sysusers and tmpfiles" group_and_directories
useradd -G portal $user 2>/dev/null
cp --sparse=always "$build/e2e/files.img" $images/disk.img 2>/dev/null ||
	{ mkdir -p $images && cp --sparse=always "$build/e2e/files.img" $images/disk.img; }
truncate -s 32M $images/raw.img $images/ro.img
cat >/etc/portald.conf <<-CONF
[instance echo]
plugin = echo
[instance hello]
plugin = hello
restart = off
[instance disk]
plugin = file
frontend = virtio-blk
serial = E2E-DISK
path = $images/disk.img
[instance raw]
plugin = file
frontend = virtio-blk
serial = E2E-RAW
path = $images/raw.img
[instance ro]
plugin = file
frontend = virtio-blk
serial = E2E-RO
path = $images/ro.img
readonly = on
CONF
test_case "systemd: udev gives /dev/portal to the group" device_rule
test_case "systemd: start is active by READY" service_starts
test_case "systemd: a user of the group attaches his QEMU" user_attaches
test_case "systemd: reload" reload_works
test_case "systemd: kill -9 of the main process in a copy" killed_in_a_copy
test_case "systemd: restart in a copy" restarted_in_a_copy
test_case "systemd: a failed instance is in the status" failure_is_shown
test_case "systemd: the journal is readable" journal_is_readable
test_case "systemd: stop leaves nothing" service_stops
PATH=$PATH selftests/rig/qemu-guest.sh --name sd stop >/dev/null 2>&1
summary
status=$?
: >$run/summary
echo ended >$run/summary
exit $status
