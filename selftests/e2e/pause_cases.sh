# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# While the guest waits for an answer: QMP stop and cont, other tasks.

slow_says()	# LINES WHAT: in the log since
{
	log_since "$1" | grep -cE "slow.*call [0-9]+ $2"
}

slow_said()
{
	[ "$(slow_says "$1" "$2")" -ge 1 ]
}

# pause_during COMMAND: the guest's call is open when QEMU has to stop
pause_during()
{
	local lines calls restarts start took

	need_driver
	calls=$(in_guest 30 portal-call slow 1)
	restarts=$(vm_stat .kernel.restarts)
	lines=$(log_lines)
	guest_start call "$1"
	within 30 slow_said "$lines" begins
	start=$(now_ms)
	qmp stop
	took=$(($(now_ms) - start))
	! slow_said "$lines" ends || skip "this machine is too slow: the call ended meanwhile"
	at_most "ms that stop took" "$took" 3000
	equal "state of QEMU" "$(qemu_state)" paused
	# the answer comes while nobody can take it
	within 30 slow_said "$lines" ends
	equal "state of QEMU" "$(qemu_state)" paused
	qmp cont
	says "^$((calls + 1))$" guest_result call 30
	equal "calls that began" "$(slow_says "$lines" begins)" 1
	equal "calls of the plugin" "$(in_guest 30 portal-call slow 1)" $((calls + 1))
	at_least "restarts" "$(vm_stat .kernel.restarts)" $((restarts + 1))
	echo "stop took $took ms"
}

pause_hypercall()
{
	pause_during 'portal-call slow 0 4000'
}

# One CPU: a thread that moves to another asks again, and may (howto-plugin.rst).
pause_register()
{
	need_driver
	in_guest 30 portal-call --reg slow 8 4 4000
	pause_during 'taskset 1 portal-call --reg slow 0 4'
}

# cont comes before the answer
pause_shortly()
{
	local lines calls

	need_driver
	calls=$(in_guest 30 portal-call slow 1)
	lines=$(log_lines)
	guest_start call 'portal-call slow 0 4000'
	within 30 slow_said "$lines" begins
	qmp stop
	equal "state of QEMU" "$(qemu_state)" paused
	qmp cont
	! slow_said "$lines" ends || skip "this machine is too slow: the call ended meanwhile"
	says "^$((calls + 1))$" guest_result call 30
	equal "calls that began" "$(slow_says "$lines" begins)" 1
	equal "state of QEMU" "$(qemu_state)" running
}

# steps that the task beside the call has made
hog_steps()
{
	in_guest 30 'wc -c </tmp/hog.steps'
}

# A parked hypercall keeps the vCPU; the driver gives it up between its tries.
hypercall_leaves_the_cpu()
{
	local lines calls before now steps=0 samples=0

	need_driver
	calls=$(in_guest 30 portal-call slow 1)
	lines=$(log_lines)
	in_guest 30 'rm -f /tmp/hog.end; printf x >/tmp/hog.steps'
	guest_start hog 'taskset 1 sh -c "until [ -e /tmp/hog.end ]; do printf x >>/tmp/hog.steps; done"'
	guest_start call 'taskset 1 portal-call slow 0 4500'
	within 30 slow_said "$lines" begins
	before=$(hog_steps)
	while :; do
		now=$(hog_steps)
		! slow_said "$lines" ends || break	# too late to tell
		steps=$now samples=$((samples + 1))
		[ "$steps" -lt $((before + 20)) ] || break
	done
	in_guest 30 ': >/tmp/hog.end'
	[ "$samples" -gt 0 ] || skip "this machine is too slow: the call ended meanwhile"
	at_least "steps while the call waits" "$steps" $((before + 20))
	echo "from $before to $steps steps while the call waits"
	guest_result hog 30
	says "^$((calls + 1))$" guest_result call 60
	equal "calls that began" "$(slow_says "$lines" begins)" 1
	equal "calls of the plugin" "$(in_guest 30 portal-call slow 1)" $((calls + 1))
}

test_case "guest: a slow hypercall leaves its CPU to other tasks" hypercall_leaves_the_cpu
test_case "guest: stop and cont during a slow hypercall" pause_hypercall
test_case "guest: stop and cont during a slow register read" pause_register
test_case "guest: cont before the answer of a slow hypercall" pause_shortly
