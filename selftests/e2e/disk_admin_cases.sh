# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # e2e.sh and world.sh set them; "within"
#
# portalctl disk: disks that come, change and go while the guest runs; and the
# block service, which is a disk without a driver.

extra=E2E-EXTRA

disk_is()	# ITEM VALUE: of the extra disk, as the guest's kernel has it
{
	local dev

	dev=$(in_guest 30 e2e-guest dev $extra) || return
	[ "$(in_guest 30 "cat /sys/block/${dev#/dev/}/$1")" = "$2" ]
}

no_extra()
{
	refuses '' in_guest 30 e2e-guest dev $extra
}

# The extra disk, 8 MiB, is in the guest.
need_extra()
{
	need_driver
	if ! ctl list | grep -q ' extra '; then
		rm -f "$work"/extra*.img
		truncate -s 8M "$work/extra.img"
		ctl disk add e2e extra path="$work/extra.img" serial=$extra
	fi
	within 60 in_guest 30 e2e-guest dev $extra
}

admin_add()
{
	local dev n

	n=$(tr , '\n' <<<"$instances" | wc -l)
	need_driver
	refuses 'no such image' ctl disk add e2e extra path="$work/nothing.img"
	refuses 'has an instance raw already' ctl disk add e2e raw
	refuses 'unknown key .colour' ctl disk add e2e extra path="$work/raw.img" colour=red
	not grep -q ' extra ' <<<"$(ctl list)"
	need_extra
	dev=$(in_guest 30 e2e-guest dev $extra)
	within 20 disk_is size 16384
	in_guest 60 "dd if=/dev/urandom of=/tmp/pattern bs=64k count=16 2>/dev/null;
		dd if=/tmp/pattern of=$dev bs=64k conv=fsync 2>/dev/null"
	equal "what is on the image" "$(head -c 1M "$work/extra.img" | sha256sum)" \
		"$(in_guest 60 'sha256sum </tmp/pattern')"
	equal "slot" "$(inst_stat extra .slot)" "$n"
}

# kill -9: what was added is part of what the next portald knows.
admin_survives()
{
	local dev

	need_extra
	ctl disk set-limit e2e extra iops=100000
	kill -9 "$(portald_pid)"
	within 20 ended "$(portald_pid)"
	need_portald
	within 30 inst_is extra .worker running
	dev=$(in_guest 30 e2e-guest dev $extra)
	in_guest 60 "dd if=$dev of=/dev/null bs=64k count=16 iflag=direct"
	says '^49$' in_guest 30 portal-call echo 0 49
}

admin_resize()
{
	need_extra
	truncate -s 12M "$work/extra.img"
	says '^extra: 12582912 bytes$' ctl disk resize e2e extra
	within 20 disk_is size 24576
	says '^extra: 14680064 bytes$' ctl disk resize e2e extra --size 14M
	within 20 disk_is size 28672
	equal "the image" "$(stat -c %s "$work/extra.img")" 14680064
	refuses 'would cut off data' ctl disk resize e2e extra --size 1M
	refuses 'no storage 3' ctl disk resize e2e extra --sid 3
}

# The guest has a file system on it, and keeps its files open meanwhile.
admin_swap()
{
	local dev deaths

	need_extra
	dev=$(in_guest 30 e2e-guest dev $extra)
	in_guest 60 "dd if=/dev/urandom of=/tmp/pattern bs=64k count=16 2>/dev/null;
		dd if=/tmp/pattern of=$dev bs=64k conv=fsync 2>/dev/null"
	deaths=$(inst_stat extra .deaths)
	refuses 'no such image.*goes on with the old medium' \
		ctl disk swap e2e extra path="$work/nothing.img"
	refuses 'is read-only, the old one is not' \
		ctl disk swap e2e extra path="$work/ro.img" readonly=on
	within 30 inst_is extra .worker running
	in_guest 60 "dd if=$dev bs=64k count=16 iflag=direct 2>/dev/null | cmp - /tmp/pattern"
	cp --sparse=always "$work/extra.img" "$work/extra2.img"
	truncate -s 16M "$work/extra2.img"
	printf 'another medium' | dd of="$work/extra2.img" conv=notrunc 2>/dev/null
	ctl disk swap e2e extra path="$work/extra2.img"
	says '^another medium$' in_guest 60 "dd if=$dev bs=4k count=1 iflag=direct 2>/dev/null | head -c 14"
	within 20 disk_is size 32768
	equal "deaths" "$(inst_stat extra .deaths)" "$deaths"
}

# 100 requests at 50 a second take about two seconds, without a limit no time.
admin_limits()
{
	local dev start

	need_extra
	dev=$(in_guest 30 e2e-guest dev $extra)
	refuses 'a key is not iops' ctl disk set-limit e2e extra iopps=50
	ctl disk set-limit e2e extra iops=50 iops-burst=1
	start=$(now_ms)
	in_guest 60 "dd if=$dev of=/dev/null bs=4k count=100 iflag=direct"
	at_least "ms for 100 requests" $(($(now_ms) - start)) 1500
	at_least "requests that waited" "$(inst_stat extra '.device.throttled // 0')" 50
	# of the next worker, too
	kill -9 "$(inst_stat extra .pid)"
	within 30 inst_is extra .worker running
	start=$(now_ms)
	in_guest 60 "dd if=$dev of=/dev/null bs=4k count=100 iflag=direct"
	at_least "ms for 100 requests" $(($(now_ms) - start)) 1500
	ctl disk set-limit e2e extra off
}

# The guest's driver lets go of it in the middle of its I/O.
admin_remove()
{
	local dev n

	n=$(tr , '\n' <<<"$instances" | wc -l)
	need_extra
	dev=$(in_guest 30 e2e-guest dev $extra)
	guest_start reader "while dd if=$dev of=/tmp/x bs=64k count=8 iflag=direct; do
		echo ok >>/tmp/reads; done"
	within 60 in_guest 30 '[ -s /tmp/reads ]'
	says '^extra: removed from e2e$' ctl disk remove --timeout 30 e2e extra
	within 60 no_extra
	within 60 guest_ended reader
	in_guest 60 e2e-guest stuck
	not grep -q ' extra ' <<<"$(ctl list)"
	at_most "queues, with the bus's" "$(vm_stat .kernel.queues)" $((n + 1))
	says '^50$' in_guest 30 portal-call echo 0 50
	# the slot is free, and its next disk another one
	need_extra
	equal "slot" "$(inst_stat extra .slot)" "$n"
	ctl disk remove --force e2e extra
	within 60 no_extra
	in_guest 60 e2e-guest disks 10
}

admin_blk_service()
{
	need_driver
	rm -f "$work/blk.img"
	truncate -s 1M "$work/blk.img"
	ctl list | grep -q ' blk0 ' ||
		ctl disk add e2e blk0 frontend=blk path="$work/blk.img"
	within 60 in_guest 30 'portal-call --list | grep -q " blk0 .*service"'
	says '^2048 sectors of 512 bytes, 512 in a call' in_guest 30 portal-call --blk blk0 info
	in_guest 60 "dd if=/dev/urandom of=/tmp/blk bs=1k count=50 2>/dev/null;
		portal-call --blk blk0 write 64 </tmp/blk"
	in_guest 60 "portal-call --blk blk0 read 64 100 | cmp - /tmp/blk"
	equal "what is on the image" \
		"$(dd if="$work/blk.img" bs=512 skip=64 count=100 2>/dev/null | sha256sum)" \
		"$(in_guest 60 'sha256sum </tmp/blk')"
	refuses 'Invalid argument' in_guest 30 portal-call --blk blk0 read 2048 1
	refuses 'Invalid argument' in_guest 30 portal-call blk0 1 0 0 1 0xfffffffffff000
	ctl disk remove e2e blk0
	refuses 'no such service' in_guest 30 portal-call --blk blk0 info
}

# bio where the guest puts it: registers for programs, by /dev/portal-guest.
admin_bio_registers()
{
	need_driver
	rm -f "$work/bio.img"
	truncate -s 64k "$work/bio.img"
	printf 'portal!!' | dd of="$work/bio.img" bs=1k seek=3 conv=notrunc 2>/dev/null
	ctl list | grep -q ' bio0 ' ||
		ctl disk add e2e bio0 frontend=bio path="$work/bio.img"
	within 60 in_guest 30 'portal-call --list | grep -q " bio0 .*enabled"'
	says '^0x314f4942$' in_guest 30 portal-call -x --reg bio0 0x18 4
	# shellcheck disable=SC2016 # of the guest
	in_guest 60 'reg() { portal-call --reg bio0 "$@"; }
		reg 0 4 0x40 && reg 4 4 0 && reg 8 4 3 && reg 12 4 1 && reg 0 4 4 &&
		[ "$(reg 0 4)" = 1 ] && [ "$(reg 0x28 4)" = 64 ]'
	says '^0x74726f70$' in_guest 30 portal-call -x --reg bio0 0x14 4
	says '^0x21216c61$' in_guest 30 portal-call -x --reg bio0 0x14 4
	says '^1016$' in_guest 30 portal-call --reg bio0 0x54 4
	ctl disk remove --timeout 30 e2e bio0
	refuses 'no such' in_guest 30 portal-call --reg bio0 0 4
}

test_case "disk admin: add, and what cannot be added" admin_add
test_case "disk admin: what was added survives kill -9 of portald" admin_survives
test_case "disk admin: resize, the guest sees it at once" admin_resize
test_case "disk admin: swap, and back if it cannot be opened" admin_swap
test_case "disk admin: limits hold, for the next worker too" admin_limits
test_case "disk admin: remove under load, and by force" admin_remove
test_case "disk admin: sectors by hypercalls" admin_blk_service
test_case "disk admin: bio's registers where the guest puts them" admin_bio_registers
