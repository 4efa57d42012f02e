# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# portald dies, and QEMU dies.

no_workers()
{
	[ -z "$(workers)" ]
}

rounds()
{
	in_guest 30 'cat /tmp/rounds'
}

more_rounds()	# THAN
{
	[ "$(rounds)" -gt "$1" ]
}

no_worker_waits()
{
	ctl --json list | jq -e 'all(.vms[].instances[]; .worker == "running")'
}

# goes_on SIGNAL: portald ends by it, the next one takes the VM up, and the
# guest's load does not notice
goes_on()
{
	local pid before

	pid=$(portald_pid)
	kill "-$1" "$pid"
	within 20 ended "$pid"
	within 20 no_workers
	before=$(rounds)
	says '[0-9]' pgrep -f -- 'portald --keeper'
	need_portald
	says '^e2e .* running ' ctl list
	within 20 no_worker_waits
	within 60 more_rounds $((before + 1))
	not guest_ended load
	says '^48$' in_guest 30 portal-call echo 0 48
}

portald_replaced()
{
	local hellos

	need_driver
	in_guest 60 e2e-guest mount
	hellos=$(vm_stat .kernel.hellos)
	start_load
	guest_start event 'e2e-events hello 1 100'
	within 30 guest_said event ready
	goes_on KILL
	says queued ctl interrupt e2e hello
	says '^1 1 0$' guest_result event 30
	log_since 0 | grep -q 'e2e: goes on'
	# told to leave the VM to the next one, as for an upgrade
	goes_on USR1
	in_guest 30 'touch /tmp/enough'
	says '^[0-9]+$' guest_result load 60
	says '^[0-9]+$' in_guest 120 e2e-guest verify
	in_guest 60 e2e-guest unmount
	e2fsck -fn "$work/disk.img"
	equal "hellos" "$(vm_stat .kernel.hellos)" "$hellos"
	equal "requests dropped" "$(vm_stat .kernel.dropped)" 0
}

# Without its keeper, too. The guest's driver notices within 10 s that its host
# is gone.
portald_killed()
{
	local start

	need_driver
	in_guest 60 e2e-guest mount
	start_load
	distrust
	not no_workers
	kill -9 "$(portald_pid)" "$(pgrep -f -- 'portald --keeper')"
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
	ctl list | grep -q '^other ' || ctl attach other --instances echo,hello
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
	equal "keepers" "$(pgrep -f -- 'portald --keeper' || true)" ""
	[ ! -S "$socket" ] || refuses 'portald is not running' ctl list
}

# A worker that hangs while nobody wants anything of it.
worker_hangs()
{
	local pid

	need_driver
	pid=$(inst_stat hello .pid)
	kill -STOP "$pid"
	another() { [ "$(inst_stat hello .pid)" != "$pid" ] && inst_is hello .worker running; }
	within 30 another
	ended "$pid" || fail "the hung worker $pid is still there"
	says '^[0-9]+$' in_guest 30 portal-call hello 0
}

# Given up after ten deaths, and back by portalctl, with its disk's data.
instance_restarted()
{
	local dev sum pid n

	need_driver
	dev=$(in_guest 30 e2e-guest dev E2E-RAW)
	sum=$(in_guest 60 "dd if=$dev bs=64k count=4 2>/dev/null | sha256sum")
	is_failed() { inst_is raw .worker failed; }
	running() { inst_is raw .worker running; }
	died() { [ "$(inst_stat raw .deaths)" -ge "$1" ]; }
	for n in 1 2 3 4 5 6 7 8 9 10; do
		within 20 running
		kill -9 "$(inst_stat raw .pid)"
		within 10 died "$n"
	done
	within 20 is_failed
	says 'e2e/raw: .*given up.*portalctl restart e2e raw' cat "$portald_log"
	no_disk() { ! in_guest 30 e2e-guest dev E2E-RAW; }
	within 30 no_disk
	says 'raw: restarted' ctl restart e2e raw
	in_guest 90 e2e-guest disks 60
	dev=$(in_guest 30 e2e-guest dev E2E-RAW)
	equal "its data" "$(in_guest 60 "dd if=$dev bs=64k count=4 2>/dev/null | sha256sum")" "$sum"
	# and one that serves
	pid=$(inst_stat echo .pid)
	says 'echo: restarted' ctl restart e2e echo
	[ "$(inst_stat echo .pid)" != "$pid" ] || fail "the same worker"
	equal "deaths of echo" "$(inst_stat echo .deaths)" 0
	says '^49$' in_guest 30 portal-call echo 0 49
	refuses 'has no instance nosuch' ctl restart e2e nosuch
}

test_case "death: a hung worker is replaced" worker_hangs
test_case "death: a failed instance is restarted" instance_restarted
test_case "death: kill -9 portald in a copy, the next one goes on" portald_replaced
test_case "death: kill -9 portald and its keeper, guest and QEMU go on" portald_killed
test_case "death: a new portald attaches again" portald_again
test_case "death: QMP quit while attached" qemu_quits
test_case "death: kill -9 QEMU while attached" qemu_killed
test_case "death: rmmod, then SIGTERM to portald" all_ends
