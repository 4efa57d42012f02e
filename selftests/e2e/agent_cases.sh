# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# Commands: what the host does in the guest, by the agent that its owner allowed.

agent_off()
{
	need_driver
	if [ "$(in_guest 30 'cat /sys/module/portal_guest/parameters/agent')" != '(null)' ]; then
		in_guest 60 e2e-guest unmount
		distrust
		in_guest 60 rmmod portal_guest
		need_driver
	fi
	inst_is agent .guest offered
	refuses 'has no agent: its owner allows commands by modprobe' ctl guest e2e ps
	refuses 'no VM named nosuch' ctl guest nosuch ps
	refuses 'unknown class|Invalid argument' in_guest 60 'rmmod portal_guest; modprobe portal_guest agent=mem,tsak'
	distrust
	need_driver
}

agent_info()
{
	need_agent task
	ctl --json guest e2e info >"$work/info"
	equal release "$(jq -r .release "$work/info")" "$(in_guest 30 'uname -r')"
	equal classes "$(jq -c .classes "$work/info")" '["base","task"]'
	equal "same ABI" "$(jq .same_abi "$work/info")" true
	says '^allowed +base task$' ctl guest e2e info
}

# All processes, and the same as the guest's own ps says of them.
agent_ps()
{
	local pid

	need_agent task
	guest_start sleeper 'sleep 4711'
	within 30 in_guest 30 'ps | grep "[s]leep 4711"'
	ctl --json guest e2e ps >"$work/ps"
	equal "parent of 1" "$(jq -r '.processes[] | select(.pid == 1).ppid' "$work/ps")" 0
	pid=$(in_guest 30 'ps | grep "[s]leep 4711" | tail -n 1' | awk '{ print $1 }')
	equal "the sleeper" "$(jq -r --argjson p "$pid" '.processes[] | select(.pid == $p).comm' "$work/ps")" sleep
	equal "processes without a parent" "$(jq '[.processes[].pid] as $p | [.processes[] |
		select(.ppid != 0 and (.ppid as $x | $p | index($x) | not))] | length' "$work/ps")" 0
	equal "kthreadd" "$(jq -r '.processes[] | select(.pid == 2).comm' "$work/ps")" kthreadd
	equal "PID 0 in the list" "$(jq '[.processes[] | select(.pid == 0)] | length' "$work/ps")" 0
	at_least processes "$(jq '.processes | length' "$work/ps")" 20
	says '^ *PID +PPID +UID' ctl guest e2e ps
	says '\[kthreadd\]' ctl guest e2e ps
	in_guest 30 "kill $pid"
}

agent_cp()
{
	local size=$((5 * 1024 * 1024 + 17)) sum

	need_agent file
	head -c $size /dev/urandom >"$work/original"
	sum=$(sha256sum <"$work/original" | cut -d' ' -f1)
	ctl guest e2e cp "$work/original" :/tmp/copied
	equal "sha256 in the guest" "$(in_guest 60 'sha256sum </tmp/copied' | cut -d' ' -f1)" "$sum"
	ctl guest e2e cp :/tmp/copied "$work/back"
	equal "sha256 back here" "$(sha256sum <"$work/back" | cut -d' ' -f1)" "$sum"
	: >"$work/empty"
	ctl guest e2e cp "$work/empty" :/tmp/copied
	equal "size after an empty one" "$(in_guest 30 'wc -c </tmp/copied')" 0
	ctl guest e2e cp :/proc/version "$work/version"
	equal "version" "$(cat "$work/version")" "$(in_guest 30 'cat /proc/version')"
	refuses 'ENOENT' ctl guest e2e cp :/tmp/nosuch "$work/nosuch"
	refuses 'EISDIR' ctl guest e2e cp :/tmp "$work/nosuch"
	refuses 'not absolute' ctl guest e2e cp :tmp "$work/nosuch"
	in_guest 30 'rm /tmp/copied'
}

agent_exec()
{
	local status=0

	need_agent exec
	says '^one two$' ctl guest e2e exec -- echo one two
	equal "its output" "$(ctl guest e2e exec -- /bin/sh -c 'echo out; echo err >&2' 2>/dev/null)" out
	equal "its error output" "$(ctl guest e2e exec -- /bin/sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err
	ctl guest e2e exec -- /bin/sh -c 'exit 42' || status=$?
	equal "its status" $status 42
	status=0
	ctl guest e2e exec -- /bin/sh -c 'kill -9 $$' || status=$?
	equal "its status, killed" $status 137
	refuses 'ENOENT' ctl guest e2e exec -- /bin/nosuch
	equal "100 KiB of output" "$(ctl guest e2e exec -- /bin/sh -c 'yes | head -c 100000' | wc -c)" 100000
	says 'No space left' ctl guest e2e exec -- /bin/sh -c 'dd if=/dev/zero bs=4096 count=1000 2>/tmp/dd.err; cat /tmp/dd.err >&2'
	says '^8388608$' ctl guest e2e exec -- /bin/sh -c 'dd if=/dev/zero of=/tmp/large bs=1M count=8 2>/dev/null; wc -c </tmp/large; rm /tmp/large'
	equal "input" "$(ctl guest e2e exec -- /bin/sh -c 'wc -c')" 0
}

agent_timeout()
{
	local expired

	need_agent exec
	expired=$(inst_stat agent .device.expired)
	background sh -c "timeout 60 '$build/daemon/portalctl' --socket '$socket' guest --timeout 8 e2e exec -- sleep 1234 >'$work/expired' 2>&1; echo \$? >'$work/expired.rc'"
	guest_has() { in_guest 30 'ps | grep "[s]leep 1234"'; }
	within 30 guest_has
	over() { [ -s "$work/expired.rc" ]; }
	within 30 over
	grep -q ETIME "$work/expired" || fail "it says $(cat "$work/expired")"
	gone() { ! in_guest 30 'ps | grep "[s]leep 1234"'; }
	within 30 gone
	equal expired "$(inst_stat agent .device.expired)" $((expired + 1))
	# who hangs up cancels
	guest_has() { in_guest 30 'ps | grep "[s]leep 1235"'; }
	"$build/daemon/portalctl" --socket "$socket" guest e2e exec -- sleep 1235 &
	within 30 guest_has
	kill -9 $!
	gone() { ! in_guest 30 'ps | grep "[s]leep 1235"'; }
	within 30 gone
	says '^after$' ctl guest e2e exec -- echo after
}

agent_classes()
{
	need_agent task
	refuses 'EPERM: the guest.s owner does not allow' ctl guest e2e exec -- echo no
	refuses 'EPERM' ctl guest e2e cp :/etc/passwd "$work/passwd"
	says kthreadd ctl guest e2e ps
}

# A script of the host's administrator asks the guest, whenever it is interrupted.
agent_python()
{
	local before

	[[ $instances == *,look* ]] || skip "plugin python is not built: no python3-dev"
	need_agent task
	before=$(log_lines)
	within 30 inst_is look .guest enabled
	says queued ctl interrupt e2e look
	told() { log_since "$before" | grep -qE 'look.*1 times: .* has [0-9]{2,} processes'; }
	within 30 told
	says '^7$' in_guest 30 portal-call look 0 7
	again() { [ "$(log_since "$before" | grep -cE 'look.*times: .* processes')" = 2 ]; }
	within 30 again
}

# Each command, with its errors, on a process that has been prepared for it.
agent_ops()
{
	local target pid

	need_agent all
	guest_start target 'E2E=target e2e-target one two'
	within 30 guest_said target '^[0-9]+ 0x'
	target=$(in_guest 30 'head -n 1 /tmp/target.out')
	says '^[0-9]+ checks passed' timeout 120 "$build/e2e/agent_ops" "$socket" e2e $target
	says '^stopped' guest_result target 30
	# its network devices are those of the channel, not of who asked for them
	equal "devices left" "$(in_guest 30 'ls /sys/class/net | grep -c left')" 64
	pid=$(inst_stat agent .pid)
	kill -9 "$pid"
	none_left() { in_guest 30 '! ls /sys/class/net | grep -q left'; }
	within 30 none_left
	within 30 inst_is agent .guest enabled
}

# Any arguments; the guest has nothing to complain of afterwards.
agent_fuzzed()
{
	need_agent all
	in_guest 30 'dmesg -c >/dev/null'
	says '^[0-9]+ commands, [1-9][0-9]* good' timeout 120 "$build/e2e/agent_fuzz" "$socket" e2e 15
	equal "complaints in the guest" \
		"$(in_guest 30 'dmesg | grep -cE "BUG|WARNING|Oops|RIP:|UBSAN|KASAN" || true')" 0
	echo "repeated interrupts: $(inst_stat agent .device.repeated)"
	equal answers "$(inst_stat agent .device.answers)" "$(inst_stat agent .device.commands)"
}

agent_worker_killed()
{
	local pid

	need_agent task,file,exec
	pid=$(inst_stat agent .pid)
	guest_has() { in_guest 30 'ps | grep "[s]leep 1236"'; }
	background sh -c "timeout 60 '$build/daemon/portalctl' --socket '$socket' guest e2e exec -- sleep 1236 >'$work/killed' 2>&1; echo \$? >'$work/killed.rc'"
	within 30 guest_has
	kill -9 "$pid"
	over() { [ -s "$work/killed.rc" ]; }
	within 20 over
	equal "status of portalctl" "$(cat "$work/killed.rc")" 1
	grep -q "worker for it ended" "$work/killed" || fail "it says $(cat "$work/killed")"
	# the next worker's agent is a new one: what ran for the last one is over
	back() { ctl guest e2e exec -- echo back | grep -qx back; }
	within 60 back
	within 30 not guest_has
	not_pid() { [ "$(inst_stat agent .pid)" != "$pid" ]; }
	not_pid
	says kthreadd ctl guest e2e ps
}

agent_unload()
{
	need_agent task,file,exec
	guest_has() { in_guest 30 'ps | grep "[s]leep 1237"'; }
	background sh -c "timeout 60 '$build/daemon/portalctl' --socket '$socket' guest e2e exec -- sleep 1237 >'$work/unload' 2>&1; echo \$? >'$work/unload.rc'"
	within 30 guest_has
	in_guest 60 e2e-guest unmount
	distrust
	in_guest 60 rmmod portal_guest
	over() { [ -s "$work/unload.rc" ]; }
	within 20 over
	grep -q ECONNRESET "$work/unload" || fail "it says $(cat "$work/unload")"
	not guest_has
	inst_is agent .guest offered
	refuses 'has no agent' ctl guest e2e ps
	need_agent task,file,exec
	says kthreadd ctl guest e2e ps
}

# The next portald's worker has a channel to the same agent, and nothing of the last.
agent_portald_killed()
{
	need_agent task,file,exec
	guest_has() { in_guest 30 'ps | grep "[s]leep 1238"'; }
	background sh -c "timeout 60 '$build/daemon/portalctl' --socket '$socket' guest e2e exec -- sleep 1238 >'$work/portald-killed' 2>&1; echo \$? >'$work/portald-killed.rc'"
	within 30 guest_has
	kill -9 "$(portald_pid)"
	over() { [ -s "$work/portald-killed.rc" ]; }
	within 20 over
	equal "status of portalctl" "$(cat "$work/portald-killed.rc")" 1
	need_portald
	within 60 attached
	back() { ctl guest e2e exec -- echo back | grep -qx back; }
	within 60 back
	within 30 not guest_has
}

# Its memory is the new kernel's, and its commands are over.
agent_guest_reset()
{
	local boots

	need_agent task,file,exec
	boots=$(grep -c '^rig-agent: ready' $guest_dir/console)
	guest_has() { in_guest 30 'ps | grep "[s]leep 1239"'; }
	background sh -c "timeout 200 '$build/daemon/portalctl' --socket '$socket' guest --timeout 180 e2e exec -- sleep 1239 >'$work/reset' 2>&1; echo \$? >'$work/reset.rc'"
	within 30 guest_has
	distrust
	qmp system_reset
	booted() { [ "$(grep -c '^rig-agent: ready' $guest_dir/console)" -gt "$boots" ]; }
	within 120 booted
	need_driver
	over() { [ -s "$work/reset.rc" ]; }
	within 20 over
	grep -q ECONNRESET "$work/reset" || fail "it says $(cat "$work/reset")"
	inst_is agent .guest offered
	need_agent task,file,exec
	says '^new$' ctl guest e2e exec -- echo new
}

test_case "agent: nothing is allowed unless the guest's owner says so" agent_off
test_case "agent: info" agent_info
test_case "agent: ps shows the guest's processes" agent_ps
test_case "agent: a class that is not allowed is refused" agent_classes
test_case "agent: a script in Python asks the guest" agent_python
test_case "agent: each command and its errors" agent_ops
test_case "agent: any arguments" agent_fuzzed
test_case "agent: 5 MB into the guest and out of it" agent_cp
test_case "agent: exec gives output and status" agent_exec
test_case "agent: time-out, and who hangs up, end a command" agent_timeout
test_case "agent: kill -9 of the worker in mid command" agent_worker_killed
test_case "agent: rmmod in mid command" agent_unload
test_case "agent: kill -9 of portald in mid command" agent_portald_killed
test_case "agent: system_reset in mid command" agent_guest_reset
