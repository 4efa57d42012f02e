# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# The virtio-blk disks.

disk_files()
{
	local files

	need_driver
	in_guest 60 e2e-guest mount
	files=$(in_guest 120 e2e-guest verify)
	at_least "files verified" "$files" 10
	in_guest 60 e2e-guest write
	in_guest 60 e2e-guest unmount
	e2fsck -fn "$work/disk.img"
	rm -rf "$work/guest"
	debugfs -R "rdump /guest $work" "$work/disk.img"
	(cd "$work/guest" && sha256sum --quiet -c SHA256SUMS)
	equal "files written" "$(find "$work/guest" -name 'random-*' | wc -l)" 8
}

disk_readonly()
{
	local dev sum

	need_driver
	sum=$(sha256sum <"$work/ro.img")
	dev=$(in_guest 30 e2e-guest dev E2E-RO)
	equal "flag ro" "$(in_guest 30 "cat /sys/block/${dev#/dev/}/ro")" 1
	says . in_guest 60 "dd if=$dev bs=64k count=4 2>/dev/null | sha256sum"
	refuses 'Operation not permitted|Read-only|I/O error|Permission denied' \
		in_guest 60 "dd if=/dev/zero of=$dev bs=4k count=1 conv=notrunc,fsync"
	in_guest 60 "mkdir -p /ro && mount -t ext4 -o ro,noload $dev /ro"
	refuses 'Read-only file system' in_guest 60 'touch /ro/x'
	in_guest 60 'umount /ro'
	equal "the image's sum" "$(sha256sum <"$work/ro.img")" "$sum"
	equal "errors" "$(inst_stat ro .errors)" 0
}

# Reads cost a doorbell and a completion; nothing else may wake the worker.
disk_wakeups()
{
	local dev

	need_driver
	dev=$(in_guest 30 e2e-guest dev E2E-RAW)
	ctl --json stat e2e >"$work/before"
	in_guest 120 "dd if=$dev of=/dev/null bs=4k count=100 iflag=direct"
	ctl --json stat e2e >"$work/after"
	grown() { echo $(($(jq "$1" "$work/after") - $(jq "$1" "$work/before"))); }
	raw='.vms[0].instances[] | select(.name == "raw") |'
	kernel='.vms[0].kernel'
	at_least "disk reads" "$(grown "$raw .device.reads")" 100
	at_least "of them in the histogram" \
		"$(jq "$raw [.device.latency_us.read[]] | add" "$work/after")" 100
	equal "register reads that reached the worker" "$(grown "$raw .reads")" 0
	equal "calls that reached the worker" "$(grown "$raw .calls")" 0
	equal "register writes that failed" "$(grown "$raw .errors")" 0
	at_least "reads answered in the kernel" "$(grown "$kernel.shadow_reads")" 1
	at_most "doorbells" "$(grown "$raw .doorbells")" 110
	# the guest's driver asks the bus every 10 s by three hypercalls
	at_most "calls that waited" "$(grown "$kernel.calls")" 15
	at_most "wake-ups" "$(grown "$kernel.wakeups")" 260
	echo "wake-ups $(grown "$kernel.wakeups"), doorbells $(grown "$raw .doorbells")," \
		"shadow reads $(grown "$kernel.shadow_reads"), calls $(grown "$kernel.calls")"
}

disk_kills()
{
	local deaths pid

	need_driver
	deaths=$(inst_stat raw .deaths)
	start_load
	busy() { [ "$(inst_stat raw .worker)" = running ] &&
		[ "$(inst_stat raw .pid)" != "$1" ] &&
		[ "$(inst_stat raw '.device.write_bytes // 0')" -gt 100000 ]; }
	pid=0
	for _ in 1 2 3 4 5; do
		within 60 busy "$pid"
		pid=$(inst_stat raw .pid)
		kill -9 "$pid"
	done
	within 60 busy "$pid"
	in_guest 30 'touch /tmp/enough'
	at_least "rounds of dd" "$(guest_result load 120)" 1
	equal "deaths" "$(inst_stat raw .deaths)" $((deaths + 5))
	equal "disks" "$(in_guest 30 e2e-guest disks 1 | wc -l)" 3
}

# Detach with a mounted disk and I/O under way, then everything comes back.
disk_hot_removal()
{
	local start

	need_driver
	in_guest 60 e2e-guest mount
	start_load
	distrust
	start=$(now_ms)
	ctl detach --timeout 10 e2e
	echo "detach took $(($(now_ms) - start)) ms"
	says 'no VM is attached|^other' ctl list
	not attached
	guest_fails load 30
	# what is cached may be read, a write must fail
	refuses '' in_guest 60 'echo x >/mnt/x && sync -f /mnt/x'
	in_guest 60 'umount /mnt'
	in_guest 60 e2e-guest alive
	equal "state of QEMU" "$(qemu_state)" running
	need_attached
	# the driver in the guest looks for the host every 10 s
	in_guest 90 e2e-guest disks 60
	says '^[0-9]+$' in_guest 60 portal-call slow 1
	in_guest 60 e2e-guest mount
	says '^[0-9]+$' in_guest 120 e2e-guest verify
	in_guest 60 e2e-guest unmount
	e2fsck -fn "$work/disk.img"
}

# Without asking the guest, who has requests under way. What reaches a device
# that is gone is never answered: its driver must see to that.
disk_forced_removal()
{
	local start

	need_driver
	start_load
	distrust
	ctl detach --force e2e
	start=$SECONDS
	guest_fails load 30
	echo "the guest's I/O failed after $((SECONDS - start)) s"
	in_guest 60 e2e-guest stuck
	need_attached
	in_guest 90 e2e-guest disks 60
	says '^48$' in_guest 60 portal-call echo 0 48
}

# Not even the module is there.
detach_rmmod()
{
	need_driver
	ctl detach --timeout 20 e2e
	distrust
	not attached || fail "still attached"
	! ctl list | grep -q '^other' || ctl detach --force other
	within 20 rmmod portal
	[ ! -e /dev/portal ]
	[ ! -d /sys/module/portal ]
	in_guest 60 e2e-guest alive
	need_driver
	says '^45$' in_guest 60 portal-call echo 0 45
}

test_case "disk: files are right, written ones are on the image, e2fsck" disk_files
test_case "disk: read-only" disk_readonly
test_case "disk: no register read wakes the worker" disk_wakeups
test_case "disk: five kills of the worker during dd" disk_kills
test_case "disk: detach while mounted, and again" disk_hot_removal
test_case "disk: detach --force during I/O, and again" disk_forced_removal
test_case "attach: rmmod after detach, load again" detach_rmmod
