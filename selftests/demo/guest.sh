#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of the demo, one verb per step.
set -eu

case $1 in
up)	# drivers, and the disk appears
	modprobe portal_guest agent=task,file,exec,hook
	modprobe virtio_blk
	i=0
	while [ ! -b /dev/vda ]; do
		i=$((i + 1))
		[ $i -lt 300 ] || { echo "no disk" >&2; exit 1; }
		usleep 100000
	done
	modprobe ext4
	mkdir -p /mnt
	mount -t ext4 /dev/vda /mnt
	;;
verify)	# every file of the image
	cd /mnt/files
	sha256sum -c ../SHA256SUMS >/tmp/verify 2>&1 || { grep -v ': OK$' /tmp/verify; exit 1; }
	wc -l </tmp/verify
	;;
write)	# files of the guest's own
	mkdir -p /mnt/guest
	dmesg >/mnt/guest/dmesg
	for i in $(seq 64); do
		dd if=/dev/urandom of="/mnt/guest/random-$i" bs=16k count=1 2>/dev/null
	done
	(cd /mnt/guest && sha256sum dmesg random-* >SHA256SUMS)
	sync
	wc -l </mnt/guest/SHA256SUMS
	;;
copy)	# about 16 MB, synced as it goes
	mkdir -p /mnt/copy
	kb=0
	: >/mnt/copy.sums
	cd /mnt/files
	for f in *; do
		cp "$f" /mnt/copy/
		grep -F "  $f" ../SHA256SUMS >>/mnt/copy.sums
		kb=$((kb + $(du -k "$f" | cut -f1)))
		sync
		[ $kb -lt 16384 ] || break
	done
	# from the disk, not from the guest's cache
	echo 3 >/proc/sys/vm/drop_caches
	cd /mnt/copy
	sha256sum -c ../copy.sums >/tmp/verify 2>&1 || { grep -v ': OK$' /tmp/verify; exit 1; }
	wc -l </tmp/verify
	;;
down)
	umount /mnt
	;;
alive)
	# runs a program and reads its own disk-less root: the guest goes on
	sha256sum /bin/busybox >/dev/null
	cut -d' ' -f1 /proc/uptime
	;;
esac
