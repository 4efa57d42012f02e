# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# portald dies, and QEMU dies.

# The guest's driver notices within 10 s that its host is gone.
portald_killed()
{
	local start

	need_driver
	in_guest 60 e2e-guest mount
	start_load
	distrust
	no_workers() { [ -z "$(workers)" ]; }
	not no_workers
	kill -9 "$(portald_pid)"
	start=$SECONDS
	within 10 ended "$(portald_pid)"
	within 10 no_workers
	refuses 'portald is not running: systemctl start portald' ctl list
	in_guest 60 e2e-guest alive
	equal "state of QEMU" "$(qemu_state)" running
	guest_fails load 30
	in_guest 60 e2e-guest stuck
	echo "the guest's I/O failed after $((SECONDS - start)) s"
	refuses '' in_guest 60 'echo x >/mnt/x && sync -f /mnt/x'
	in_guest 60 'umount /mnt'
	in_guest 60 e2e-guest alive
}

portald_again()
{
	need_guest
	in_guest 60 e2e-guest alive
	need_attached
	need_driver
	in_guest 90 e2e-guest disks 60
	says '^47$' in_guest 60 portal-call echo 0 47
	in_guest 60 e2e-guest mount
	says '^[0-9]+$' in_guest 120 e2e-guest verify
	in_guest 60 e2e-guest unmount
	e2fsck -fn "$work/disk.img"
}

# vm_gone NAME LINES: portald noticed by itself, and said so once
vm_gone()
{
	noticed() { ! ctl list | grep -q "^$1 "; }
	within 20 noticed "$1"
	equal "lines about it" "$(log_since "$2" | grep -c "$1: the VM is gone; detached")" 1
	equal "lines in all" "$(log_since "$2" | grep -c "$1[:/]")" 1
}

qemu_quits()
{
	local lines pid

	need_module
	need_portald
	[ -n "$($other pid)" ] || $other start --nowait -S
	within 20 $other qmp '{"execute":"query-status"}'
	ctl list | grep -q '^other ' || ctl attach --vm-name other --instances echo,hello
	pid=$($other pid)
	lines=$(log_lines)
	$other qmp '{"execute":"quit"}'
	within 20 ended "$pid"
	vm_gone other "$lines"
}

qemu_killed()
{
	local lines pid

	need_driver
	in_guest 60 e2e-guest mount
	start_load
	pid=$(qemu_pid)
	lines=$(log_lines)
	distrust
	kill -9 "$pid"
	within 20 ended "$pid"
	vm_gone e2e "$lines"
	no_workers() { [ -z "$(workers)" ]; }
	within 10 no_workers
	says '^no VM is attached' ctl list
}

all_ends()
{
	local pid

	need_module
	need_portald
	! attached || need_detached
	pid=$(portald_pid)
	says '^no VM is attached' ctl list
	within 20 rmmod portal
	not ended "$pid"
	kill -TERM "$pid"
	within 20 ended "$pid"
	[ ! -S "$socket" ] || refuses 'portald is not running' ctl list
}

test_case "death: kill -9 portald, guest and QEMU go on" portald_killed
test_case "death: a new portald attaches again" portald_again
test_case "death: QMP quit while attached" qemu_quits
test_case "death: kill -9 QEMU while attached" qemu_killed
test_case "death: rmmod, then SIGTERM to portald" all_ends
