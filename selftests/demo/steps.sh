#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The steps of the demo, where KVM and the module are: in the rig, or on a
# host. Everything is left as it was found.
set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/../.." && pwd -P)
# shellcheck source=selftests/demo/lib.sh
. "$self/lib.sh"
# shellcheck source=selftests/rig/dmesg.sh
. "$self/../rig/dmesg.sh"
cd "$top"

build=${O:-build}
guest=selftests/rig/qemu-guest.sh
work=$(mktemp -d /tmp/portal-demo.XXXXXX)
image=$work/disk.img
portalctl="$build/daemon/portalctl --socket $work/control"
export PORTAL_GUEST_INITRD=$top/$build/demo/guest.cpio.gz
case $build in /*) PORTAL_GUEST_INITRD=$build/demo/guest.cpio.gz ;; esac
portald_pid=

cleanup()
{
	status=$?
	trap - EXIT
	if [ $status != 0 ]; then
		say "what portald said:"
		cat "$work/portald.log" 2>/dev/null || true
		$portalctl stat || true
		"$guest" why || true
		dmesg | tail -n 15
	fi
	[ -z "$portald_pid" ] || kill "$portald_pid" 2>/dev/null || true
	"$guest" stop >/dev/null 2>&1 || true
	until_true 10 rmmod portal || true
	rm -rf "$work"
	exit $status
}
trap cleanup EXIT

stat_of()	# stat_of JQ-PATH
{
	$portalctl --json stat | jq -r ".vms[0]$1"
}

disk_of()
{
	stat_of ".instances[] | select(.name == \"disk0\") $1"
}

in_guest()	# in_guest SECONDS COMMAND...
{
	local limit=$1

	shift
	"$guest" run --timeout "$limit" "$*"
}

now_ms()
{
	date +%s%3N
}

# ticks the vCPU threads have used
vcpu_ticks()
{
	local task ticks=0

	for task in /proc/"$qemu"/task/*; do
		[[ $(cat "$task/comm") == CPU* ]] || continue
		ticks=$((ticks + $(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "$task/stat")))
	done
	echo "$ticks"
}

idle()
{
	local before after

	before=$(vcpu_ticks)
	sleep 1		# the length of the sample, not a wait for something
	after=$(vcpu_ticks)
	idle_ticks=$((after - before))
	[ "$idle_ticks" -lt 40 ]
}

# ------------------------------------------------------------------------
dmesg_mark demo
cp --sparse=always "$build/demo/disk.img" "$image"
cat >"$work/portald.conf" <<CONF
[portald]
socket = $work/control

[instance echo]
plugin = echo

[instance hello]
plugin = hello

[instance agent]
plugin = agent

[instance disk0]
plugin = file
frontend = virtio-blk
path = $image
CONF

say "1/6 an unmodified QEMU runs a Linux guest, 2 vCPUs, private RAM"
insmod "$build/kmod/$(uname -r)/portal.ko"
qemu=$("$guest" start)
say "    $(tr '\0' ' ' <"/proc/$qemu/cmdline" | cut -c1-60)..., pid $qemu, is up"

say "2/6 portald starts and attaches to the running guest"
"$build/daemon/portald" --config "$work/portald.conf" --plugin-dir "$build/daemon/plugins" \
	>"$work/portald.log" 2>&1 &
portald_pid=$!
until_true 20 test -S "$work/control" || die "portald does not come up"
t=$(now_ms)
$portalctl attach --pid "$qemu" --name demo
attach_ms=$(($(now_ms) - t))

say "3/6 the guest loads portal_guest.ko, finds a disk, verifies and writes files"
in_guest 120 demo-guest up
files=$(in_guest 200 demo-guest verify)
say "    $files files of the image have the right sha256"
written=$(in_guest 120 demo-guest write)
say "    $written files written and synced"

say "4/6 a hypercall, registers, and an interrupt into an idle guest"
value=$(in_guest 20 portal-call echo 0 424242)
[ "$value" = 424242 ] || die "hypercall echo(424242) gave $value"
in_guest 20 portal-call --reg echo 0 4 0x5afe
value=$(in_guest 20 portal-call --reg echo 0 4)
[ "$((value))" = $((0x5afe)) ] || die "register 0 of echo holds $value, not 0x5afe"
calls=$(in_guest 20 portal-call --reg echo 8 4)
say "    hypercall and MMIO: right; the CALL register counts $calls"
in_guest 60 portal-call --wait-event hello --timeout 50 >"$work/event" &
waiter=$!
# its line may be slow; whoever is not there yet would miss the interrupt
waiting() { $portalctl --json guest demo ps | jq -e '.processes[] | select(.comm == "portal-call")' >/dev/null; }
until_true 30 waiting || die "the guest's program does not start"
until_true 30 idle || die "the guest is not idle: $idle_ticks ticks of 100 in a second"
t=$(now_ms)
$portalctl interrupt demo hello >/dev/null
wait "$waiter" || die "no event came"
event_ms=$(($(now_ms) - t))
say "    idle guest ($idle_ticks of 200 ticks busy): plugin hello's handler ran, guest" \
	"program got $(cat "$work/event") after $event_ms ms"

$portalctl --json guest demo ps >"$work/ps"
processes=$(jq '.processes | length' "$work/ps")
[ "$(jq -r '.processes[] | select(.pid == 2).comm' "$work/ps")" = kthreadd ] ||
	die "portalctl guest ps does not show kthreadd"
head -c 2M /dev/urandom >"$work/sent"
$portalctl guest demo cp "$work/sent" :/tmp/sent >/dev/null
$portalctl guest demo cp :/tmp/sent "$work/back" >/dev/null
cmp "$work/sent" "$work/back" || die "portalctl guest cp changed the file"
[ "$(in_guest 30 'sha256sum </tmp/sent')" = "$(sha256sum <"$work/sent")" ] ||
	die "the guest has another file than was sent"
$portalctl guest demo trace -e openat -- /bin/busybox sha256sum /tmp/sent >/dev/null 2>"$work/trace" ||
	die "portalctl guest trace: $(tail -n 1 "$work/trace")"
traced=$(grep -F '"/tmp/sent"' "$work/trace") || die "portalctl guest trace does not show /tmp/sent"
say "    portalctl guest: ps shows its $processes processes; cp in and out: 2 MiB, the same"
say "    portalctl guest trace: $traced"

say "5/6 kill -9 of the disk's worker in the middle of a copy"
before=$(disk_of .device.write_bytes)
worker=$(disk_of .pid)
in_guest 200 demo-guest copy >"$work/copy" &
copier=$!
copying() { kill -0 "$copier" && [ "$(disk_of .device.write_bytes)" -gt $((before + (2 << 20))) ]; }
until_true 100 copying || die "the copy does not start"
written_by=$(disk_of .device.write_bytes)
kill -9 "$worker"
say "    killed worker $worker after $(((written_by - before) >> 10)) KiB of the copy"
wait "$copier" || die "the copy failed"
copied=$(cat "$work/copy")
deaths=$(disk_of .deaths)
[ "$deaths" -ge 1 ] || die "nobody noticed the death"
say "    worker $(disk_of .pid) went on: $copied copied files read back with the right sha256"

say "6/6 detach; what is on the image; what is left"
in_guest 60 demo-guest down
$portalctl --json stat >"$work/stat"
$portalctl detach demo
kill "$portald_pid"
wait "$portald_pid" || true
portald_pid=
e2fsck -fn "$image" >"$work/fsck" 2>&1 || { cat "$work/fsck"; die "e2fsck finds errors"; }
debugfs -R "rdump /guest $work" "$image" >/dev/null 2>&1
(cd "$work/guest" && sha256sum --quiet -c SHA256SUMS) || die "the guest's files are damaged"
say "    e2fsck: clean; the guest's $written files are intact on the host"
uptime=$(in_guest 20 demo-guest alive)
[ "$("$guest" qmp '{"execute":"query-status"}' | grep -c '"running": true')" = 1 ] ||
	die "QEMU does not run the guest"
"$guest" stop >/dev/null
rmmod portal || die "rmmod: somebody still holds portal"
dmesg_check || die "the kernel complained"
say "    guest up for $uptime s and QEMU went on; rmmod clean; no complaint in dmesg"

k() { jq -r ".vms[0].kernel.$1" "$work/stat"; }
d() { jq -r '.vms[0].instances[] | select(.name == "disk0") | .device.'"$1" "$work/stat"; }
cat <<TABLE

  kernel                 $(uname -r)
  attach                 $attach_ms ms, guest running
  image files verified   $files ($(du -m "$image" | cut -f1) MiB on disk)
  guest files written    $written, intact after detach
  files copied           $copied, disk worker killed once in between
  hypercalls             $(k hypercalls) ($(k calls) calls, $(k restarts) restarts, $(k timeouts) time-outs)
  register accesses      $(k shadow_reads) reads in the kernel, $(k posted) posted writes
  disk                   $(d reads) reads ($(($(d read_bytes) >> 20)) MiB), $(d writes) writes ($(($(d write_bytes) >> 20)) MiB), $(d flushes) flushes, since the kill
  interrupt to idle guest  $event_ms ms until a guest program had it
  processes seen         $processes, by the agent that the guest's owner allowed
  dropped requests       $(k dropped)
TABLE
echo
say "demo: PASS"
