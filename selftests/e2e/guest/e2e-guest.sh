#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the cases: e2e-guest VERB [ARGUMENT...]
set -eu

# until_true SECONDS COMMAND...
until_true()
{
	end=$(($(cut -d. -f1 /proc/uptime) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt $end ] || { echo "waited for: $*" >&2; return 1; }
		usleep 50000
	done
}

# dev SERIAL: the disk's device
dev()
{
	for serial in /sys/block/vd*/serial; do
		[ -e "$serial" ] || continue
		[ "$(cat "$serial")" = "$1" ] || continue
		serial=${serial%/serial}
		[ -b "/dev/${serial##*/}" ] || continue
		echo "/dev/${serial##*/}"
		return
	done
	return 1
}

disks()
{
	dev E2E-DISK && dev E2E-RAW && dev E2E-RO
}

reg()
{
	portal-call -x --reg "$@"
}

# register OFFSET WIDTH VALUE WANTED: written, and read at once
register()
{
	reg regs "$1" "$2" "$3"
	value=$(reg regs "$1" "$2")
	[ "$value" = "$4" ] ||
		{ echo "register $1, width $2: wrote $3, read $value, not $4" >&2; return 1; }
}

posted()	# OFFSET WIDTH VALUE: a read may be early
{
	reg regs "$1" "$2" "$3"
	is() { [ "$(reg regs "$1" "$2")" = "$3" ]; }
	until_true 10 is "$@"
}

verb=$1
shift
case $verb in
up)	# drivers, and all disks are there
	modprobe virtio_blk
	modprobe ext4
	[ -e /dev/portal-guest ] || modprobe portal_guest
	until_true 60 disks
	;;
disks)	until_true "$1" disks; disks ;;
dev)	dev "$1" ;;
mount)
	mkdir -p /mnt
	grep -q ' /mnt ' /proc/mounts || mount -t ext4 "$(dev E2E-DISK)" /mnt
	;;
verify)	# every file of the image
	cd /mnt/files
	sha256sum -c ../SHA256SUMS >/tmp/verify 2>&1 || { grep -v ': OK$' /tmp/verify; exit 1; }
	wc -l </tmp/verify
	;;
write)	# files of the guest's own
	mkdir -p /mnt/guest
	cd /mnt/guest
	for i in 1 2 3 4 5 6 7 8; do
		dd if=/dev/urandom of=random-$i bs=16k count=2 2>/dev/null
	done
	sha256sum random-* >SHA256SUMS
	sync
	;;
unmount)
	! grep -q ' /mnt ' /proc/mounts || umount /mnt
	;;
load)	# writes, reads back and compares, until /tmp/enough
	# A node of its own: without the disk dd would make a file of that name.
	raw=$(dev E2E-RAW)
	rm -f /tmp/raw
	tr : ' ' <"/sys/block/${raw##*/}/dev" | xargs mknod /tmp/raw b
	raw=/tmp/raw
	rm -f /tmp/enough
	dd if=/dev/urandom of=/tmp/pattern bs=64k count=16 2>/dev/null
	n=0
	until [ -e /tmp/enough ]; do
		at=$((n % 8 * 16))
		dd if=/tmp/pattern of="$raw" bs=64k seek=$at conv=notrunc,fsync 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		dd if="$raw" bs=64k skip=$at count=16 2>/dev/null | cmp - /tmp/pattern
		n=$((n + 1))
		echo $n >/tmp/rounds
	done
	echo "$n"
	;;
registers | call-range)
	for width in 1:0xa1:0x5e 2:0xb2c3:0x4d3c 4:0xd4e5f607:0x2b1a09f8 \
		8:0x8192a3b4c5d6e7f8:0x7e6d5c4b3a291807; do
		inverse=${width##*:}
		value=${width#*:}
		value=${value%:*}
		width=${width%%:*}
		if [ "$verb" = call-range ]; then
			register $((0xe0 + width)) "$width" "$value" "$inverse"
			continue
		fi
		posted $((0x00 + width)) "$width" "$value"
		register $((0x40 + width)) "$width" "$value" "$value"
		register $((0x80 + width)) "$width" "$value" "$value"
		register $((0xc0 + width)) "$width" "$value" "$inverse"
	done
	;;
gone)	# no disk and no service of portal is left
	set -- /sys/block/vd*
	[ ! -e "$1" ] && [ -z "$(portal-call --list 2>/dev/null)" ]
	;;
alive)	# runs programs
	sha256sum /bin/busybox >/dev/null
	;;
stuck)	# threads that wait for good: named if they are there twice
	waiting() { grep -lE '^[0-9]+ .*\) D ' /proc/[0-9]*/stat 2>/dev/null; }
	waiting >/tmp/waiting || exit 0
	sleep 2
	for stat in $(waiting); do
		grep -qx "$stat" /tmp/waiting || continue
		cat "${stat%stat}comm" "${stat%stat}stack"
		exit 1
	done
	;;
*)
	echo "e2e-guest: $verb?" >&2
	exit 2
	;;
esac
