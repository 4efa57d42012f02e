# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# Attach and detach, and everything that can be wrong with it.

nothing_runs()
{
	refuses 'portald is not running.*load portal\.ko' ctl list
	refuses 'portald is not running.*load portal\.ko' ctl attach --pid $$
}

no_module()
{
	need_portald
	[ ! -e /dev/portal ] || skip "portal is loaded"
	background "$build/e2e/vms" 1 >"$work/fds"
	within 10 test -s "$work/fds"
	refuses 'load portal\.ko: modprobe portal' ctl attach --pid "$(tail -n 1 "$work/background")"
	says 'not loaded \(modprobe portal\)' ctl version
	grep -q "/dev/portal is missing" "$portald_log"
	need_module
	says 'portal\.ko +API 1' ctl version
}

wrong_socket()
{
	need_portald
	refuses '/nonexistent/control: No such file.*portald is not running' \
		ctl --socket /nonexistent/control list
}

no_process()
{
	need_module
	need_portald
	[ ! -e /proc/4194300 ] || skip "there is a process 4194300"
	refuses 'no process with pid 4194300' ctl attach --pid 4194300
	refuses "no process runs a VM named 'nobody'" ctl attach --vm-name nobody
	refuses 'which VM' ctl attach
	refuses 'no VM is attached|no VM named nobody' ctl detach nobody
}

no_vm()
{
	need_module
	need_portald
	refuses "process $$ has no KVM VM" ctl attach --pid $$
	refuses "has no fd 999|is not a KVM VM" ctl attach --pid $$ --vm-fd 999
	refuses "is not a KVM VM" ctl attach --pid $$ --vm-fd 0
}

several_vms()
{
	local pid fds

	need_module
	need_portald
	background "$build/e2e/vms" 2 >"$work/fds"
	pid=$(tail -n 1 "$work/background")
	two() { [ "$(wc -l <"$work/fds")" = 2 ]; }
	within 10 two
	mapfile -t fds <"$work/fds"
	refuses "has 2 KVM VMs, fds ${fds[0]}, ${fds[1]}; choose one with --vm-fd" \
		ctl attach --pid "$pid" --instances echo
	ctl attach --pid "$pid" --vm-fd "${fds[0]}" --name first --instances echo
	ctl attach --pid "$pid" --vm-fd "${fds[1]}" --name second --instances echo,hello
	equal "VMs" "$(ctl --json list | jq -c '[.vms[] | select(.pid == '"$pid"') | .name] | sort')" \
		'["first","second"]'
	ctl detach --force first
	ctl detach --force second
	equal "VMs left" "$(ctl --json list | jq -c '[.vms[] | select(.pid == '"$pid"') | .name]')" '[]'
}

unprivileged()
{
	local nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"

	need_module
	need_portald
	need_guest
	refuses 'Permission denied.*run as root, or as a member of group portal' \
		timeout 30 $nobody "$build/daemon/portalctl" --socket "$socket" list
	chmod 666 "$socket"
	refuses 'uid 65534 may not attach process' timeout 30 $nobody \
		"$build/daemon/portalctl" --socket "$socket" attach --pid "$(qemu_pid)"
	says . timeout 30 $nobody "$build/daemon/portalctl" --socket "$socket" list
	chmod 660 "$socket"
	refuses 'Permission denied' $nobody sh -c 'exec 3<>/dev/portal'
}

attach_by_pid()
{
	local pid before

	need_module
	need_portald
	need_guest
	need_detached
	pid=$(qemu_pid)
	before=$(in_guest 30 'cut -d. -f1 /proc/uptime')
	says "^e2e: attached, $(tr , '\n' <<<$instances | wc -l) instances" ctl attach --pid "$pid" --name e2e --instances $instances
	says "^e2e +$pid +running +0 +echo +echo +registers +running +offered" ctl list
	equal "state of QEMU" "$(qemu_state)" running
	at_least "the guest's uptime" "$(in_guest 30 'cut -d. -f1 /proc/uptime')" "$before"
}

list_and_stat()
{
	need_attached
	ctl --json list >"$work/list"
	jq -e --arg names "$instances" '.ok and (.vms | length == 1) and .vms[0].name == "e2e" and
		.vms[0].state == "running" and
		([.vms[0].instances[].name] == ($names | split(","))) and
		([.vms[0].instances[].slot] == [range($names | split(",") | length)])' "$work/list"
	ctl --json stat e2e >"$work/stat"
	jq -e '.vms[0] | .kernel.vcpus == 2 and .kernel.queues >= 7 and
		(.kernel.per_queue | length) == .kernel.queues and
		(.kernel.per_hook | length) == .kernel.hooks and
		.kernel.parked_ns.sum >= 0 and
		all(.instances[]; .worker == "running" and .pid > 1 and .deaths == 0) and
		(.instances[] | select(.name == "disk") | .type == "virtio-mmio")' "$work/stat"
	says '^ *INSTANCE +WORKER +PID +DEATHS' ctl stat
	refuses 'no VM named nobody is attached' ctl stat nobody
}

attach_twice()
{
	need_attached
	refuses "process $(qemu_pid) is attached already, as e2e" ctl attach --pid "$(qemu_pid)"
	says "^e2e +$(qemu_pid) +running" ctl list
}

rmmod_busy()
{
	need_attached
	refuses 'Module portal is in use' rmmod portal
	says "^e2e +$(qemu_pid) +running" ctl list
}

# A second QEMU, which never runs: the VM is there from its start on.
attach_by_name()
{
	need_attached
	$other start --nowait -S
	within 20 $other qmp '{"execute":"query-status"}'
	refuses 'instance disk is in use by VM e2e' ctl attach --vm-name other
	says '^other: attached, 2 instances' ctl attach other --name other --instances echo,hello
	equal "VMs" "$(ctl --json list | jq -c '[.vms[].name] | sort')" '["e2e","other"]'
	refuses "a VM named e2e is attached already" ctl attach --pid "$($other pid)" --vm-fd 99 --name e2e
}

test_case "attach: nothing runs: says what to load" nothing_runs
test_case "attach: module absent: says to load portal" no_module
test_case "attach: wrong socket" wrong_socket
test_case "attach: pid that does not exist" no_process
test_case "attach: process without a VM" no_vm
test_case "attach: process with two VMs, --vm-fd" several_vms
test_case "attach: unprivileged caller" unprivileged
test_case "attach: running guest by pid" attach_by_pid
test_case "attach: list and stat, JSON too" list_and_stat
test_case "attach: twice" attach_twice
test_case "attach: rmmod while attached is refused" rmmod_busy
test_case "attach: second VM, by QEMU's name" attach_by_name
