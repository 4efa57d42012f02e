#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# /init of the L2 guest, and its agent. ttyS0 is the plain console; on ttyS1
# the agent takes one request a line,
#	ID SECONDS COMMAND
# (SECONDS 0: no limit; \\ and \n in COMMAND stand for backslash and newline)
# and answers
#	@@ID:BEGIN
#	whatever COMMAND prints
#	@@ID:END STATUS
# with a newline of its own before the last line, so that output which does
# not end in one stays what it was. guest_run.c is the other side. Nothing of
# portal is loaded here: that is for tests to do.

/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb PORTAL_GUEST=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
ln -s /proc/self/fd /dev/fd
ifconfig lo up
hostname portal-l2

# One descriptor for all requests: closing the port between two of them would
# drop what the other side has sent meanwhile.
exec 3<>/dev/ttyS1
stty raw -echo <&3

# printk messages arrive on the same console; this line must stand alone.
printf '\nrig-agent: ready\n' >/dev/console

while IFS= read -r line <&3; do
	id=${line%% *}
	rest=${line#* }
	limit=${rest%% *}
	command=${rest#* }
	# Whatever is not a request is noise of a client that went away.
	[ "$id $limit $command" = "$line" ] || continue
	case $limit in
	'' | *[!0-9]*) continue ;;
	esac
	command=$(printf '%b' "$command")
	printf '@@%s:BEGIN\n' "$id" >&3
	if [ "$limit" -eq 0 ]; then
		sh -c "$command" </dev/null >&3 2>&1 3>&-
	else
		timeout -s KILL "$limit" sh -c "$command" \
			</dev/null >&3 2>&1 3>&-
	fi
	printf '\n@@%s:END %d\n' "$id" "$?" >&3
done
