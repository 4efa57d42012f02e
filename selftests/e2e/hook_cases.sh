# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # e2e.sh and world.sh set them; "within"
#
# Hooks: what the guest tells by itself, and nothing of it left when nobody listens.

guest_hooks()
{
	in_guest 30 'cat /sys/module/portal_guest/parameters/hooks'
}

hooks_are()
{
	[ "$(guest_hooks)" = "$1" ]
}

# Tracepoints and probes are patched in and out while all tasks run.
need_hooks()	# [CLASSES]
{
	need_one_cpu
	need_agent "${1:-task,exec,hook}"
	in_guest 30 'printf 12345 >/tmp/e2e-hook.file; dmesg -c >/dev/null'
	equal "hooks before" "$(guest_hooks)" 0
}

complaints()
{
	in_guest 30 'dmesg | grep -cE "BUG|WARNING|Oops|RIP:|UBSAN|KASAN|stall|lockup" || true'
}

hook_off()
{
	need_agent task
	refuses 'EPERM: the guest.s owner does not allow' ctl guest e2e trace -p 1
}

# Each filter, kind and error, by a program of the host.
hook_ops()
{
	need_hooks mem,kmem,exec,hook
	says '^[0-9]+ checks passed' timeout 200 "$build/e2e/hook_ops" "$socket" e2e /tmp/e2e-hook.file \
		"$(in_guest 30 e2e-hook)"
	within 30 hooks_are 0
	equal "complaints in the guest" "$(complaints)" 0
}

hook_trace()
{
	local status=0 pid

	need_hooks
	says '^[0-9]+ checks passed' timeout 100 "$build/e2e/hook_ops" "$socket" e2e
	ctl guest e2e trace -e openat,read,exit_group -- /bin/e2e-hook /tmp/e2e-hook.file \
		2>"$work/trace" || status=$?
	equal "status of the program" $status 3
	grep -qE '^\[pid +[0-9]+\] openat\(AT_FDCWD, "/tmp/e2e-hook.file", O_RDONLY\) = 3$' "$work/trace"
	grep -qE '^\[pid +[0-9]+\] openat\(AT_FDCWD, "/nosuch/file", O_RDONLY\) = -1 ENOENT \(No such' "$work/trace"
	grep -qE '^\[pid +[0-9]+\] read\(3, 0x[0-9a-f]+, 100\) = 5$' "$work/trace"
	grep -qE '^\[pid +[0-9]+\] read\(3, 0x[0-9a-f]+, 100\) = 0$' "$work/trace"
	tail -n 1 "$work/trace" | grep -qE '^\[pid +[0-9]+\] exit_group\(3\) = \?$'
	equal "calls of others" "$(grep -cvE '^\[pid +[0-9]+\] (openat|read|exit_group)\(' "$work/trace" || true)" 0

	# all calls; with those of its child; only what failed
	ctl guest e2e trace -- /bin/e2e-hook /tmp/e2e-hook.file 2>"$work/trace" || true
	equal "getppid" "$(grep -cE '\] getppid\(\) = [0-9]+$' "$work/trace")" 10
	equal "openat" "$(grep -c '"/tmp/e2e-hook.file"' "$work/trace")" 1
	ctl guest e2e trace -f -- /bin/e2e-hook /tmp/e2e-hook.file 2>"$work/trace" || true
	equal "openat of both" "$(grep -c '"/tmp/e2e-hook.file"' "$work/trace")" 2
	ctl guest e2e trace -Z -e openat,lseek -- /bin/e2e-hook /tmp/e2e-hook.file 2>"$work/trace" || true
	equal "failed" "$(grep -cE '= -1 (ENOENT|EBADF) ' "$work/trace")" "$(wc -l <"$work/trace")"
	equal "failed" "$(wc -l <"$work/trace")" 2
	ctl --json guest e2e trace -e openat -- /bin/e2e-hook /tmp/e2e-hook.file 2>"$work/json" || true
	equal "as JSON" "$(jq -r 'select(.errno == "ENOENT").string' "$work/json")" /nosuch/file
	# a program that becomes another one
	ctl guest e2e trace -e execve -- /bin/sh -c 'exec /bin/e2e-hook /tmp/e2e-hook.file' 2>"$work/trace" || true
	grep -qE 'execve\("/bin/e2e-hook", 0x[0-9a-f]+, 0x[0-9a-f]+\) = 0$' "$work/trace" ||
		grep -qE 'execve\("/bin/e2e-hook", 0, 0\) = 0$' "$work/trace"

	# a process that runs already
	guest_start ticker "sh -c 'echo \$\$; while :; do cat /tmp/e2e-hook.file >/dev/null; usleep 20000; done'"
	within 30 guest_said ticker '^[0-9]+$'
	pid=$(in_guest 30 'head -n 1 /tmp/ticker.out')
	says 'wait4\(|clone\(|fork\(' ctl guest e2e trace -p "$pid" --count 40
	ctl guest e2e trace -c cat -e openat --count 3 >"$work/trace"
	equal "lines" "$(wc -l <"$work/trace")" 3
	equal "of cat" "$(grep -c openat "$work/trace")" 3
	in_guest 30 "kill $pid"
	refuses 'unknown system call' ctl guest e2e trace -e nosuch
	within 30 hooks_are 0
	equal "complaints in the guest" "$(complaints)" 0
}

# flood: every process of the guest is traced, and one does nothing but system calls
start_flood()
{
	guest_start flood 'dd if=/dev/zero of=/dev/null bs=1'
	rm -f "$work/flood.rc"
	background sh -c "'$build/daemon/portalctl' --socket '$socket' guest e2e trace >'$work/flood' 2>'$work/flood.err' &
		echo \$! >'$work/flood.pid'; wait \$!; echo \$? >'$work/flood.rc'"
	flooded() { [ "$(wc -l <"$work/flood")" -gt 2000 ]; }
	within 60 flooded
}

end_flood()
{
	in_guest 30 'killall dd'
}

# What a filter rejects stays in the guest: no call of it reaches the host.
hook_rejects()
{
	local calls events

	need_hooks
	background sh -c "'$build/daemon/portalctl' --socket '$socket' guest e2e trace -c nosuch -e read,write >'$work/none' 2>&1 &
		echo \$! >'$work/none.pid'; wait"
	within 30 hooks_are 1
	calls=$(inst_stat agent .calls)
	events=$(inst_stat agent .device.events)
	in_guest 120 'dd if=/dev/zero of=/dev/null bs=1 count=5000 2>/dev/null'
	at_most "SYNCs for 10000 calls" $(($(inst_stat agent .calls) - calls)) 2
	equal events "$(inst_stat agent .device.events)" "$events"
	kill "$(cat "$work/none.pid")"
	within 30 hooks_are 0
	equal lines "$(wc -l <"$work/none")" 0
}

hook_listener_killed()
{
	local calls events

	need_hooks
	calls=$(inst_stat agent .calls)
	events=$(inst_stat agent .device.events)
	start_flood
	not hooks_are 0
	# one exit for many events
	calls=$(($(inst_stat agent .calls) - calls))
	events=$(($(inst_stat agent .device.events) - events))
	at_most "SYNCs for $events events, times 4," $((calls * 4)) "$events"
	kill -9 "$(cat "$work/flood.pid")"
	within 60 hooks_are 0
	says "^there$" ctl guest e2e exec -- echo there
	end_flood
	equal "complaints in the guest" "$(complaints)" 0
}

hook_worker_killed()
{
	need_hooks
	start_flood
	kill -9 "$(inst_stat agent .pid)"
	within 60 hooks_are 0
	over() { [ -s "$work/flood.rc" ]; }
	within 30 over
	equal "status of portalctl" "$(cat "$work/flood.rc")" 1
	back() { ctl guest e2e exec -- echo back | grep -qx back; }
	within 60 back
	end_flood
	equal "complaints in the guest" "$(complaints)" 0
}

hook_portald_killed()
{
	need_hooks
	start_flood
	kill -9 "$(portald_pid)"
	need_portald
	within 60 attached
	within 60 hooks_are 0
	back() { ctl guest e2e exec -- echo back | grep -qx back; }
	within 60 back
	end_flood
	equal "complaints in the guest" "$(complaints)" 0
}

hook_unload()
{
	need_hooks
	start_flood
	in_guest 60 e2e-guest unmount
	distrust
	in_guest 60 rmmod portal_guest
	over() { [ -s "$work/flood.rc" ]; }
	within 30 over
	equal "status of portalctl" "$(cat "$work/flood.rc")" 1
	end_flood
	equal "complaints in the guest" "$(complaints)" 0
	need_hooks
}

# System calls that a program of the host answers.
need_answers()
{
	need_hooks mem,hook
	rm -f "$work/answers" "$work/answers.rc"
	background sh -c "'$build/e2e/ask_ops' '$socket' e2e >'$work/answers' 2>&1 &
		echo \$! >'$work/answers.pid'; wait \$!; echo \$? >'$work/answers.rc'"
	answering() { grep -qx serving "$work/answers"; }
	until_true 60 answering || fail "ask_ops says $(cat "$work/answers")"
}

hook_ask()
{
	need_answers
	guest_start asker e2e-ask
	says '^[0-9]+ checks passed' guest_result asker 60
	[ ! -s "$work/answers.rc" ] || fail "ask_ops says $(cat "$work/answers")"
	kill -9 "$(cat "$work/answers.pid")"
	within 30 hooks_are 0
	in_guest 30 '! e2e-ask'
	equal "complaints in the guest" "$(complaints)" 0
	need_agent task,hook
	refuses 'status -1,' timeout 30 "$build/e2e/ask_ops" "$socket" e2e
}

hook_ask_ends()
{
	need_answers
	guest_start asker 'e2e-ask hold'
	within 30 guest_said asker waiting
	asks() { [ "$(inst_stat agent .device.events)" -gt 0 ]; }
	within 30 asks
	not guest_ended asker
	# a process that is in a call of the module's holds it
	in_guest 60 e2e-guest unmount
	distrust
	refuses 'busy|temporarily|in use' in_guest 60 'rmmod portal_guest'
	kill -9 "$(cat "$work/answers.pid")"
	says '^goes on' guest_result asker 30
	# and who is killed is gone
	need_answers
	guest_start asker 'e2e-ask hold'
	within 30 guest_said asker waiting
	in_guest 30 'killall -9 e2e-ask'
	not guest_result asker 30
	kill -9 "$(cat "$work/answers.pid")"
	within 30 hooks_are 0
	in_guest 60 e2e-guest unmount
	distrust
	in_guest 60 'rmmod portal_guest'
	equal "complaints in the guest" "$(complaints)" 0
}

test_case "hook: a class of its own" hook_off
test_case "hook: trace shows system calls as strace does" hook_trace
test_case "hook: what a filter rejects costs no exit" hook_rejects
test_case "hook: kill -9 of the listener in a flood" hook_listener_killed
test_case "hook: kill -9 of the worker in a flood" hook_worker_killed
test_case "hook: kill -9 of portald in a flood" hook_portald_killed
test_case "hook: rmmod in a flood" hook_unload
test_case "hook: each kind, filter and error" hook_ops
test_case "hook: system calls that the host answers" hook_ask
test_case "hook: who answers system calls is killed, or who asks" hook_ask_ends
