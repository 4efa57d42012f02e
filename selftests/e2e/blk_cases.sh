# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # e2e.sh and world.sh set them; "within"
#
# What a virtio-blk device can do besides reading and writing.

# blk_attr FILE: of the raw disk, in the guest's sysfs
blk_attr()
{
	in_guest 30 "cat /sys/block/${dev#/dev/}/$1"
}

blk_is()	# FILE VALUE
{
	[ "$(blk_attr "$1")" = "$2" ]
}

# as many queues as the guest has CPUs, and each has its doorbell
blk_queues()
{
	local dev before after q

	need_driver
	dev=$(in_guest 30 e2e-guest dev E2E-RAW)
	equal "queues" "$(in_guest 30 "ls /sys/block/${dev#/dev/}/mq" | wc -w)" \
		"$(in_guest 30 nproc)"
	before=$(ctl --json stat e2e)
	in_guest 120 "for cpu in 1 2; do
		taskset \$cpu dd if=$dev of=/dev/null bs=4k count=200 iflag=direct 2>/dev/null &
		done; wait"
	after=$(ctl --json stat e2e)
	of_raw() { jq ".vms[0].instances[] | select(.name == \"raw\") | .device.$1" <<<"$2"; }
	for q in queue0 queue1; do
		at_least "requests of $q" $(($(of_raw $q "$after") - $(of_raw $q "$before"))) 150
	done
	equal "other queues" "$(of_raw queue2 "$after")" null
	says 'per request: notifications [0-9.]+  interrupts [0-9.]+' ctl stat e2e
	for q in reads notifications interrupts; do
		echo "$q: $(($(of_raw $q "$after") - $(of_raw $q "$before")))"
	done
}

# while the cache is off the guest sends no flush, and needs none
blk_cache()
{
	local dev flushes

	need_driver
	dev=$(in_guest 30 e2e-guest dev E2E-RAW)
	blk_is cache_type 'write back'
	in_guest 30 "echo write through >/sys/block/${dev#/dev/}/cache_type"
	blk_is cache_type 'write through'
	flushes=$(inst_stat raw .device.flushes)
	in_guest 60 "dd if=/dev/urandom of=$dev bs=64k count=4 conv=notrunc,fsync 2>/dev/null"
	equal "flushes" "$(inst_stat raw .device.flushes)" "$flushes"
	# a worker that dies does not turn it on again
	kill -9 "$(inst_stat raw .pid)"
	within 30 inst_is raw .worker running
	blk_is cache_type 'write through'
	in_guest 30 "echo write back >/sys/block/${dev#/dev/}/cache_type"
	blk_is cache_type 'write back'
	flushes=$(inst_stat raw .device.flushes)
	in_guest 60 "dd if=/dev/urandom of=$dev bs=64k count=4 conv=notrunc,fsync 2>/dev/null"
	at_least "flushes" "$(inst_stat raw .device.flushes)" $((flushes + 1))
}

# seen at once, and the new sectors are there
blk_resize()
{
	local dev

	need_driver
	dev=$(in_guest 30 e2e-guest dev E2E-RAW)
	blk_is size 65536
	truncate -s 48M "$work/raw.img"
	ctl restart e2e raw
	within 10 blk_is size 98304
	in_guest 60 "dd if=/dev/zero of=$dev bs=64k seek=767 count=1 conv=notrunc,fsync"
	refuses '' in_guest 60 "dd if=/dev/zero of=$dev bs=64k seek=768 count=1 conv=notrunc,fsync"
	truncate -s 32M "$work/raw.img"
	ctl restart e2e raw
	within 10 blk_is size 65536
	in_guest 60 "dd if=$dev of=/dev/null bs=64k skip=511 count=1"
}

# The driver leaves with requests in flight: the reset waits for them.
blk_unbind()
{
	local dev id deaths resets round

	need_driver
	deaths=$(inst_stat raw .deaths)
	for round in 1 2 3; do
		dev=$(in_guest 30 e2e-guest dev E2E-RAW)
		id=$(in_guest 30 "readlink /sys/block/${dev#/dev/}/device")
		id=${id##*/}
		resets=$(inst_stat raw .device.resets)
		start_load
		in_guest 60 "echo $id >/sys/bus/virtio/drivers/virtio_blk/unbind"
		guest_fails load 60
		at_least "resets in round $round" "$(inst_stat raw .device.resets)" $((resets + 1))
		equal "in flight" "$(inst_stat raw .device.inflight)" 0
		in_guest 30 e2e-guest stuck
		in_guest 60 "echo $id >/sys/bus/virtio/drivers/virtio_blk/bind"
		in_guest 60 e2e-guest disks 30
	done
	start_load
	in_guest 30 'touch /tmp/enough'
	at_least "rounds of dd" "$(guest_result load 120)" 1
	equal "deaths" "$(inst_stat raw .deaths)" "$deaths"
}

# what the guest's file system gives up is a hole in the image
blk_discard()
{
	local dev full

	need_driver
	dev=$(in_guest 30 e2e-guest dev E2E-DISK)
	! blk_is queue/discard_max_bytes 0 || skip "the backend cannot discard"
	in_guest 60 e2e-guest mount
	in_guest 60 'dd if=/dev/urandom of=/mnt/big bs=64k count=48 2>/dev/null && sync'
	full=$(stat -c %b "$work/disk.img")
	in_guest 60 'rm /mnt/big && sync && fstrim /mnt'
	at_most "blocks of the image" "$(stat -c %b "$work/disk.img")" $((full - 40 * 128))
	in_guest 120 e2e-guest verify
	in_guest 60 e2e-guest unmount
	e2fsck -fn "$work/disk.img"
	at_least "discards" "$(inst_stat disk .device.discards)" 1
}

test_case "blk: a queue for each CPU" blk_queues
test_case "blk: write cache off and on" blk_cache
test_case "blk: a new size is seen at once" blk_resize
test_case "blk: the driver is unbound during I/O, and bound" blk_unbind
test_case "blk: fstrim makes holes in the image" blk_discard
