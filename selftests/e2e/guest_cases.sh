# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# What the guest can do: hypercalls, registers, interrupts; and its own ends.

driver_loads()
{
	local hellos

	need_attached
	hellos=$(vm_stat .kernel.hellos)
	distrust
	need_driver
	in_guest 30 'portal-call --list' >"$work/slots"
	grep -qE '^ *0 +echo +regs +enabled +2 +256 +0x' "$work/slots"
	grep -qE '^ *1 +hello +service +offered +1 +0 +-' "$work/slots"
	grep -qE '^ *4 +disk +virtio-mmio +enabled' "$work/slots"
	inst_is disk .guest enabled
	at_least "HELLOs" "$(vm_stat .kernel.hellos)" 1
	at_least "HELLOs since before" "$(vm_stat .kernel.hellos)" "$hellos"
	equal guest_driver "$(vm_stat .guest_driver)" true
}

hypercalls()
{
	local calls

	need_driver
	calls=$(inst_stat echo .calls)
	says '^424242$' in_guest 30 portal-call echo 0 424242
	says '^0xffffffff00000000$' in_guest 30 portal-call -x echo 0 0xffffffff00000000
	says '^10$' in_guest 30 portal-call echo 1 1 2 3 4
	equal "calls of echo" "$(inst_stat echo .calls)" $((calls + 3))
}

wrong_calls()
{
	need_driver
	refuses 'echo: function 9: Invalid argument' in_guest 30 portal-call echo 9
	refuses 'nobody: no such service' in_guest 30 portal-call nobody 0
	refuses 'function 0: No such file' in_guest 30 portal-call 63 0
	refuses 'hello: register 0, width 4: No such file' in_guest 30 portal-call --reg hello 0 4
	refuses 'register 0x1000, width 4: Invalid argument' in_guest 30 portal-call --reg echo 0x1000 4
	says '^7$' in_guest 30 portal-call echo 0 7
}

all_registers()
{
	need_driver
	in_guest 120 e2e-guest registers
	says '^0x5afe$' in_guest 30 'portal-call --reg echo 0x10 4 0x5afe; portal-call -x --reg echo 0x10 4'
}

call_range()
{
	need_driver
	in_guest 120 e2e-guest call-range
}

# ticks (1/100 s) the vCPU threads have used
vcpu_ticks()
{
	local task ticks=0

	for task in /proc/"$(qemu_pid)"/task/*; do
		[[ $(cat "$task/comm") == CPU* ]] || continue
		ticks=$((ticks + $(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "$task/stat")))
	done
	echo "$ticks"
}

idle()
{
	local before

	before=$(vcpu_ticks)
	sleep 1		# the length of the sample, not a wait for something
	[ $(($(vcpu_ticks) - before)) -lt 40 ]
}

interrupt_idle()
{
	local served

	need_driver
	served=$(inst_stat hello .interrupts_served)
	guest_start event 'e2e-events hello 1 60'
	within 30 guest_said event ready
	within 30 idle
	says queued ctl interrupt e2e hello
	says '^1 1 0$' guest_result event 30
	equal "interrupts served" "$(inst_stat hello .interrupts_served)" $((served + 1))
	refuses 'takes no interrupts' ctl interrupt e2e disk
	refuses 'has no instance nobody' ctl interrupt e2e nobody
}

# 190 by the plugin itself, 10 from outside meanwhile
interrupts_200()
{
	local queued i

	need_driver
	queued=$(inst_stat slow .interrupts_queued)
	guest_start events 'e2e-events slow 200 60'
	within 30 guest_said events ready
	guest_start queue 'portal-call slow 2 190'
	for i in 1 2 3 4 5 6 7 8 9 10; do
		ctl interrupt e2e slow >/dev/null || fail "interrupt $i"
	done
	says '^190$' guest_result queue 30
	says '^200 [0-9]+ 0$' guest_result events 90
	equal "interrupts queued" "$(inst_stat slow .interrupts_queued)" $((queued + 200))
	equal "interrupts served" "$(inst_stat slow .interrupts_served)" $((queued + 200))
}

reload_driver()
{
	need_driver
	in_guest 60 e2e-guest unmount
	distrust
	in_guest 60 rmmod portal_guest
	in_guest 30 e2e-guest gone
	for i in echo disk raw ro; do
		inst_is $i .guest offered || fail "$i is not offered"
	done
	need_driver
	says '^43$' in_guest 30 portal-call echo 0 43
	inst_is raw .guest enabled
}

# What is traced is of that instance, each request with its reply, and no
# instance of tracefs is left.
trace_instance()
{
	local out=$work/trace

	need_driver
	background timeout 60 "$build/daemon/portalctl" --socket "$socket" --json \
		trace --timeout 40 e2e echo >"$out"
	traces() { ls -d /sys/kernel/tracing/instances/portalctl-*; }
	within 20 traces
	seen() { [ "$(jq -r '.event' "$out" 2>/dev/null | grep -c "$1")" -ge 3 ]; }
	some()
	{
		in_guest 30 'portal-call hello 0; portal-call echo 0 42; portal-call echo 1 1 2 3 4'
		seen request && seen reply
	}
	within 30 some
	end_background
	not_traces() { ! traces; }
	within 10 not_traces
	equal "hooks seen" "$(jq -r 'select(.event == "request").hook' "$out" | sort -u)" \
		"$(inst_stat echo .hook)"
	equal "requests without id" "$(jq -c 'select(.event == "request" and .id == null)' "$out")" ""
	equal "replies to none of them" "$(jq -s '(map(select(.event == "request").id)) as $ids |
		map(select(.event == "reply" and (.id as $i | $ids | index($i) | not))) | length' \
		"$out")" 0
	refuses 'run as root|has no instance nosuch' ctl trace e2e nosuch
}

top_shows_rates()
{
	need_driver
	guest_start calls 'seq 60 | while read -r n; do portal-call echo 0 1; done'
	ctl --json top --delay 2 e2e >"$work/top"
	guest_result calls 60
	at_least "requests per second of echo, times 10" "$(jq '[.vms[0].instances[] |
		select(.name == "echo").requests * 10 | floor][0]' "$work/top")" 1
	equal "of slow" "$(jq '.vms[0].instances[] | select(.name == "slow").requests | floor' \
		"$work/top")" 0
	says '^  INSTANCE +WORKER +REQ/s' ctl top --count 1 --delay 0.5
	says '^  echo +running' ctl top --count 1 --delay 0.5 e2e
	refuses 'no VM named nosuch' ctl top --count 1 nosuch
}

# With a disk in use, as a reset is.
guest_reset()
{
	local hellos boots

	need_driver
	hellos=$(vm_stat .kernel.hellos)
	boots=$(grep -c '^rig-agent: ready' $guest_dir/console)
	start_load
	distrust
	qmp system_reset
	booted() { [ "$(grep -c '^rig-agent: ready' $guest_dir/console)" -gt "$boots" ]; }
	within 120 booted
	need_driver
	at_least "HELLOs" "$(vm_stat .kernel.hellos)" $((hellos + 1))
	says '^44$' in_guest 30 portal-call echo 0 44
	in_guest 30 e2e-guest mount
	says '^[0-9]+$' in_guest 60 e2e-guest verify
	in_guest 60 e2e-guest unmount
}

test_case "guest: driver finds services, registers and disks" driver_loads
test_case "guest: hypercalls" hypercalls
test_case "guest: unknown function, service, register" wrong_calls
test_case "guest: registers of every kind and width" all_registers
test_case "guest: CALL range wider than an access" call_range
test_case "guest: interrupt reaches an idle guest" interrupt_idle
test_case "guest: 200 interrupts back to back, none lost" interrupts_200
test_case "guest: rmmod portal_guest and modprobe" reload_driver
test_case "guest: portalctl trace" trace_instance
test_case "guest: portalctl top" top_shows_rates
test_case "guest: system_reset during disk I/O" guest_reset
