#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The whole path in L1 of the rig: portal.ko, portald, an unmodified QEMU with
# portal_guest.ko, and everybody's death. Built before, on L0: portal.ko,
# portal_guest.ko for the guest, the daemon, selftests/guest. Run by
#   daemon/tests/rig/run.sh [KERNEL]
set -u
O=${O:-build}
mod=${PORTAL_KO:-$O/kmod/$(uname -r)/portal.ko}
g=selftests/rig/qemu-guest.sh
sock=/run/portald-e2e.sock
conf=/tmp/e2e.conf
log=/tmp/portald.log
passed=0 failed=0

. selftests/rig/dmesg.sh
dmesg_mark e2e

ctl() { "$O/daemon/portalctl" -s $sock "$@"; }
guest() { $g run --timeout "${t:-60}" "$@"; }

# check NAME COMMAND...: its status says
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1)); echo "ok   $name"
	else
		failed=$((failed + 1)); echo "FAIL $name: $* ->"; echo "$out"
	fi
}

# says PATTERN COMMAND...: the pattern is in its output
says() {
	local pattern=$1 out
	shift
	out=$("$@" 2>&1)
	grep -q -- "$pattern" <<<"$out" || { echo "no '$pattern' in: $out"; return 1; }
}

refused() { if "$@"; then return 1; fi; }

within() {	# SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { "$@"; return 1; }
		sleep 0.2
	done
}

start_portald() {
	"$O/daemon/portald" -c $conf -s $sock --plugin-dir /tmp/plugins >>$log 2>&1 &
	pd=$!
	within 10 ctl list
}

# field INSTANCE KEY
field() {
	ctl -j stat vm1 | python3 -c '
import json, sys
for i in json.load(sys.stdin)["vms"][0]["instances"]:
    if i["name"] == sys.argv[1]: print(i[sys.argv[2]])' "$1" "$2"
}

is_field() { [ "$(field "$1" "$2")" = "$3" ]; }
deaths_over() { [ "$(field "$1" deaths)" -gt "$2" ]; }

mkdir -p /tmp/plugins
cp "$O"/daemon/plugins/*.so "$O"/daemon/tests/plugins/crash.so /tmp/plugins
truncate -s 32M /tmp/disk0.img
cat >$conf <<CONF
[portald]
log_level = info
[instance disk0]
plugin = file
frontend = virtio-blk
serial = DISK-0001
path = /tmp/disk0.img
[instance echo]
plugin = echo
[instance hello]
plugin = hello
greeting = good morning
[instance crash]
plugin = crash
[instance broken]
plugin = file
frontend = virtio-blk
path = /nonexistent/x.img
[instance typo]
plugin = hello
greting = hi
CONF
all=disk0,echo,hello,crash

rm -f $log
check "portald without the module says so" says "nothing running" sh -c \
	"$O/daemon/portalctl -s $sock list 2>&1 | grep -q 'modprobe portal' && echo nothing running"
insmod "$mod" || exit 1
start_portald; check "portald starts" test $? -eq 0
pid=$($g start -action reboot=reset) || exit 1

# ---- what can be wrong --------------------------------------------------------
check "a process without a VM" says "has no KVM VM" ctl attach --pid $$
check "no such process" says "no process with pid 999999" ctl attach --pid 999999
check "no such instance" says 'no \[instance nope\]' ctl attach --pid "$pid" -i nope
check "no such image" says "attach failed: instance broken: /nonexistent/x.img" \
	ctl attach --pid "$pid" -i echo,broken
check "unknown key" says "e2e.conf:21: unknown key 'greting'" ctl attach --pid "$pid" -i typo
check "wrong fd" says "is not a KVM VM\|has no fd" ctl attach --pid "$pid" --vm-fd 0
chmod 666 $sock
check "another user's VM" says "uid 65534 may not attach" \
	setpriv --reuid 65534 --regid 65534 --clear-groups "$O/daemon/portalctl" -s $sock attach --pid "$pid"
chmod 660 $sock
check "no permission on the socket" says "member of group portal" \
	setpriv --reuid 65534 --regid 65534 --clear-groups "$O/daemon/portalctl" -s $sock list
check "nothing is left of failed attaches" says "no VM is attached" ctl list

# ---- services -----------------------------------------------------------------
check "attach" ctl attach --pid "$pid" -n vm1 -i $all
check "attach twice" says "is attached already, as vm1" ctl attach --pid "$pid" -n vm2
check "guest driver" guest "modprobe virtio_mmio; modprobe virtio_blk; modprobe portal_guest"
check "the guest enables the disk" within 20 is_field disk0 guest enabled
check "echo" says '^42$' guest "portal-call echo 0 42"
check "sum" says '^10$' guest "portal-call echo 1 1 2 3 4"
check "unknown function" refused guest "portal-call echo 9"
check "shadow register" says 0xabcd guest \
	"portal-call --reg echo 0 4 0xabcd && portal-call -x --reg echo 0 4"
check "CALL register" says '^2$' guest "portal-call --reg echo 8 4"
check "SYNC register" says 0x77 guest \
	"portal-call --reg echo 0x10 4 0x77 && portal-call -x --reg echo 0x10 4"
check "interrupt by the service itself" guest \
	"portal-call --wait-event hello --timeout 20 & p=\$!; sleep 1; portal-call hello 0; wait \$p"
(guest "portal-call --wait-event hello --timeout 30") >/tmp/event.out 2>&1 &
waiter=$!
sleep 3
check "interrupt from outside" ctl interrupt vm1 hello
wait $waiter; check "reaches the guest" test $? -eq 0
check "is counted once" within 10 is_field hello interrupts_served 2

# ---- the disk, and its worker's death -----------------------------------------
check "serial number" says DISK-0001 guest "cat /sys/block/vda/serial"
check "write, read, compare" guest '
	dd if=/dev/urandom of=/tmp/r bs=64k count=64 2>/dev/null &&
	dd if=/tmp/r of=/dev/vda bs=64k conv=fsync 2>/dev/null &&
	echo 3 >/proc/sys/vm/drop_caches &&
	dd if=/dev/vda bs=64k count=64 2>/dev/null | cmp - /tmp/r'
check "a second VM cannot have the disk" says "is in use by VM vm1" \
	ctl attach --pid "$pid" --vm-fd 99 -n vm2 -i disk0
(t=120 guest '
	for i in 1 2 3 4 5 6; do
		dd if=/tmp/r of=/dev/vda bs=64k conv=fsync 2>/dev/null || exit 1
		echo 3 >/proc/sys/vm/drop_caches
		dd if=/dev/vda bs=64k count=64 2>/dev/null | cmp - /tmp/r || exit 1
	done') >/tmp/load.out 2>&1 &
load=$!
for _ in 1 2 3 4; do
	sleep 1.5
	kill -9 "$(field disk0 pid)"
	within 10 is_field disk0 worker running
done
wait $load; check "four kills under load: no error, no lost byte" test $? -eq 0
check "and were deaths" deaths_over disk0 3
check "windows of dead workers are given back" says yes sh -c "
	$O/daemon/portalctl -s $sock -j stat vm1 | python3 -c '
import json, sys
k = json.load(sys.stdin)[\"vms\"][0][\"kernel\"]
print(\"yes\" if k[\"windows\"] < 16 else k)'"

# ---- a plugin that crashes, a worker that hangs -------------------------------
check "a call that kills its worker ends with an error" refused guest "portal-call crash 1"
check "after three tries" deaths_over crash 2
check "and the service lives on" within 20 says '^7$' guest "portal-call crash 0 7"
kill -STOP "$(field echo pid)"
check "a hung worker is killed when it is needed" guest "rmmod portal_guest"
check "all devices are back" within 5 is_field echo guest offered
check "guest driver again" guest "modprobe portal_guest && sleep 1 && ls /dev/vda"
check "echo again" within 20 says '^43$' guest "portal-call echo 0 43"

# ---- reboot of the guest ------------------------------------------------------
check "reset" $g qmp '{"execute":"system_reset"}'
sleep 3
check "the guest is back" $g wait
check "HELLO takes the old devices off" guest \
	"modprobe virtio_mmio; modprobe virtio_blk; modprobe portal_guest; sleep 1; ls /dev/vda"
check "echo after the reboot" says '^44$' guest "portal-call echo 0 44"

# ---- detach, deaths -----------------------------------------------------------
check "detach" ctl detach vm1
check "the guest's disk is gone" refused guest "ls /dev/vda"
check "attach again" ctl attach --pid "$pid" -n vm1 -i $all
check "its devices come again" guest "rmmod portal_guest; modprobe portal_guest; sleep 1; ls /dev/vda"
kill -9 $pd
wait $pd 2>/dev/null
check "workers die with the supervisor" within 5 refused pgrep -f -- "portald --worker"
check "the guest lives on" guest true
start_portald; check "a new portald starts over the old socket" test $? -eq 0
check "and goes on with the VM" within 20 is_field disk0 worker running
check "the guest's disk too" guest "dd if=/dev/vda of=/dev/null bs=64k count=4 iflag=direct"
check "the VM ends" $g stop
check "and is detached by itself" within 10 says "no VM is attached" ctl list
kill -TERM $pd
wait $pd; check "SIGTERM: exit 0" test $? -eq 0
check "the module can go" rmmod portal
check "the kernel did not complain" dmesg_check

echo "e2e: $passed passed, $failed failed"
[ $failed -eq 0 ] || { echo "--- portald's log"; cat $log; exit 1; }
