#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Portal's disk beside QEMU's own, a vhost-user one and an NBD one: the same guest,
# the same boot, images of the same bytes in memory, taking turns. See README.md.
# usage: blk.sh [KERNEL] builds and boots; blk.sh --l1 KERNEL is what runs in L1.
set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/../.." && pwd -P)
cd "$top"
build=${O:-build}
case $build in
/*) ;;
*) build=$top/$build ;;
esac
export O=$build
out=$build/perf
rounds=${PORTAL_BLK_ROUNDS:-5}
ms=${PORTAL_BLK_MS:-700}

if [ "${1-}" != --l1 ]; then
	kernel=${1:-6.12}
	mkdir -p "$out"
	selftests/rig/deps.sh build rig perf
	[ -s "$build/rig/$kernel/release" ] || selftests/rig/kernel.sh "$kernel" >/dev/null
	release=$(cat "$build/rig/$kernel/release")
	{
		make -s all guest-programs
		make -s module KVER="$release"
		make -s guest KVER="$release"
		make -s -C selftests/perf O="$build" blk
	} >"$out/blk-build.log" 2>&1 || { tail -n 20 "$out/blk-build.log" >&2; exit 1; }
	selftests/rig/guest.sh --kernel "$kernel" --output "$out/blk-$kernel.cpio.gz" \
		--module "$build/kmod/$release-guest/module/guest/portal_guest.ko" \
		--add "$out/blk_load:/bin/blk_load" >/dev/null
	exec env PORTAL_RIG_ALONE=1 selftests/rig/boot.sh --kernel "$kernel" --timeout 900 \
		--log "$out/blk-$kernel.log" --append tsc=reliable -- \
		env PORTAL_BLK_ROUNDS="$rounds" PORTAL_BLK_MS="$ms" O="$build" \
		selftests/perf/blk.sh --l1 "$kernel"
fi

kernel=$2
# shellcheck source=selftests/demo/lib.sh
. "$self/../demo/lib.sh"
# shellcheck source=selftests/rig/dmesg.sh
. "$self/../rig/dmesg.sh"
export PORTAL_GUEST_INITRD=$out/blk-$kernel.cpio.gz PORTAL_GUEST_KERNEL=$kernel
work=$(mktemp -d /dev/shm/portal-blk.XXXXXX)
guest=selftests/rig/qemu-guest.sh
control=(--socket "$work/control")
pids=()

cleanup()
{
	local status=$?

	trap - EXIT
	[ $status = 0 ] || tail -n 20 "$work/"*.log >&2 || true
	$guest stop >/dev/null 2>&1 || true
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	until_true 15 rmmod portal || true
	rm -rf "$work"
	exit $status
}
trap cleanup EXIT

in_guest()
{
	"$build/rig/guest-run" /run/portal-rig/guest/serial --timeout "$1" "${*:2}"
}

# The guest tells the disks by their sizes, the one thing that each of them shows.
declare -A size=([qemu]=64 [qemu-again]=66 [vhost-user]=68 [nbd]=70 [portal]=72)
declare -A dev server
contenders=(qemu portal vhost-user nbd qemu-again)
dd if=/dev/urandom of="$work/qemu.img" bs=1M count="${size[portal]}" 2>/dev/null
for name in "${contenders[@]}"; do
	[ "$name" = qemu ] || cp "$work/qemu.img" "$work/$name.img"
	truncate -s "${size[$name]}M" "$work/$name.img"
done
cat >"$work/portald.conf" <<CONF
[portald]
socket = $work/control
[instance portal]
plugin = file
frontend = virtio-blk
path = $work/portal.img
CONF

dmesg_mark blk
insmod "$build/kmod/$(uname -r)/portal.ko"
"$build/daemon/portald" --config "$work/portald.conf" --plugin-dir "$build/daemon/plugins" \
	>"$work/portald.log" 2>&1 &
pids+=($!)
qemu-storage-daemon \
	--blockdev "file,node-name=f,filename=$work/vhost-user.img,aio=io_uring" \
	--blockdev raw,node-name=d,file=f \
	--export "vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=$work/vhost.sock,writable=on,num-queues=2" \
	>"$work/vhost.log" 2>&1 &
pids+=($!)
server[vhost-user]=$!
qemu-nbd -f raw --persistent --aio=io_uring -k "$work/nbd.sock" "$work/nbd.img" >"$work/nbd.log" 2>&1 &
pids+=($!)
server[nbd]=$!
until_true 20 test -S "$work/vhost.sock" || die "qemu-storage-daemon does not come up"
until_true 20 test -S "$work/nbd.sock" || die "qemu-nbd does not come up"
until_true 20 test -S "$work/control" || die "portald does not come up"

disk=()
for name in qemu qemu-again; do
	disk+=(-object "iothread,id=thread-$name"
		-blockdev "file,node-name=file-$name,filename=$work/$name.img,aio=io_uring"
		-blockdev "raw,node-name=$name,file=file-$name"
		-device "virtio-blk-pci,drive=$name,iothread=thread-$name")
done
# vhost-user needs memory that it can share
qemu=$(PORTAL_GUEST_MACHINE=pc,memory-backend=ram $guest start \
	-object memory-backend-memfd,id=ram,size=512M,share=on "${disk[@]}" \
	-chardev "socket,id=vhost,path=$work/vhost.sock" -device vhost-user-blk-pci,chardev=vhost \
	-object iothread,id=thread-nbd \
	-blockdev "nbd,node-name=nbd,server.type=unix,server.path=$work/nbd.sock" \
	-device virtio-blk-pci,drive=nbd,iothread=thread-nbd)
"$build/daemon/portalctl" "${control[@]}" attach --pid "$qemu" --name blk >/dev/null
in_guest 60 'modprobe virtio_pci && modprobe virtio_blk && modprobe portal_guest'

device_of()
{
	in_guest 30 "for d in /sys/block/vd*; do
		[ \$(cat \$d/size) != $((size[$1] * 2048)) ] || echo /dev/\${d##*/}
	done"
}
there() { [ -n "$(device_of "$1")" ]; }
for name in "${contenders[@]}"; do
	until_true 30 there "$name" || die "the guest has no disk $name"
	dev[$name]=$(device_of "$name")
done

of_portal()	# JQ-PATH
{
	"$build/daemon/portalctl" "${control[@]}" --json stat |
		jq -r ".vms[0].instances[0] | $1"
}
server[portal]=$(of_portal .pid)

# CPU time of QEMU and the contender's server, in ticks
ticks()
{
	local pid sum=0

	for pid in "$qemu" ${server[$1]-}; do
		sum=$((sum + $(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$pid/stat")))
	done
	echo "$sum"
}

visit()		# ROUND CONTENDER NAME HOW DEPTH BLOCK-SIZE
{
	local before after kicks=0 irqs=0 result

	if [ "$2" = portal ]; then
		kicks=$(of_portal .device.notifications)
		irqs=$(of_portal .device.interrupts)
	fi
	before=$(ticks "$2")
	result=$(in_guest 60 "blk_load ${dev[$2]} $4 $5 $6 $ms")
	after=$(ticks "$2")
	if [ "$2" = portal ]; then
		kicks=$(($(of_portal .device.notifications) - kicks))
		irqs=$(($(of_portal .device.interrupts) - irqs))
	fi
	# shellcheck disable=SC2086 # words
	set -- "$1" "$2" "$3" $result
	echo "$1 $2 $3 $ms $4 $5 $6 $((after - before)) $kicks $irqs"
}

: >"$work/visits"
backwards=()
for name in "${contenders[@]}"; do
	backwards=("$name" "${backwards[@]}")
done
say "disk: $rounds rounds, and one for warming up"
for ((round = -1; round < rounds; round++)); do
	for name in "${contenders[@]}" "${backwards[@]}"; do
		visit $round "$name" read-4k-qd1 randread 1 4096
		visit $round "$name" read-4k-qd32 randread 32 4096
		visit $round "$name" write-4k-qd1 randwrite 1 4096
		visit $round "$name" write-4k-qd32 randwrite 32 4096
		visit $round "$name" read-128k-qd4 read 4 131072
	done >>"$work/visits"
	say "disk: round $((round + 1)) of $rounds"
done
"$out/blk_rows" "$kernel" "$out/blk-$kernel.json" <"$work/visits"

# how long a request takes at most when the worker dies in between
for ((i = 0; i < 3; i++)); do
	in_guest 60 "blk_load ${dev[portal]} randread 4 4096 4000" >"$work/stall" &
	load=$!
	reads=$(of_portal .device.reads)
	# shellcheck disable=SC2317 # by until_true
	running() { [ "$(of_portal .device.reads)" -gt $((reads + 50)) ]; }
	until_true 20 running || die "no load"
	kill -9 "$(of_portal .pid)"
	wait $load
	read -r _ _ _ longest <"$work/stall"
	echo "F13  kill -9 of the worker: the longest request took $((longest / 1000000)) ms"
	echo "$longest"
done | tee "$work/stalls" | grep F13
# the median of three, least and most
grep -v F13 "$work/stalls" | sort -n | jq -sc --arg kernel "$kernel" '{ id: "F13",
	variant: "kill -9 of the worker, longest request / second", kernel: $kernel,
	ratio: (.[1] / 1e9), ci_low: (.[0] / 1e9), ci_high: (.[2] / 1e9), bar: 1,
	better: "lower", rounds: length }' >>"$out/blk-$kernel.json"
"$build/daemon/portalctl" "${control[@]}" detach --force blk >/dev/null
dmesg_check || die "the kernel complained"
