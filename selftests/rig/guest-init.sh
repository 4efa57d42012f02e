#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# /init of the L2 guest, and its agent. ttyS0 is the plain console; on ttyS1
# the agent takes one request a line,
#	@@ID SECONDS LENGTH COMMAND @@ID
# (SECONDS 0: no limit; \\ and \n in COMMAND stand for backslash and newline;
# LENGTH is that of COMMAND as it is sent) and answers
#	@@ID:RUN
# at once, and when COMMAND has ended
#	@@ID:BEGIN
#	its output
#	@@ID:END STATUS SIZE
# with a newline of its own before the last line, so that output which does
# not end in one stays what it was. A request that comes again is not run
# again but answered again: the line may lose things. guest_run.c is the other
# side. Nothing of portal is loaded here: that is for tests to do.

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

# parse LINE: sets id, limit and command. Fails for what is no whole request.
parse()
{
	local rest length

	case $1 in
	@@*' @@'*) ;;
	*) return 1 ;;
	esac
	rest=${1#@@}
	id=${rest%% *}
	rest=${rest#* }
	limit=${rest%% *}
	rest=${rest#* }
	length=${rest%% *}
	rest=${rest#* }
	command=${rest% @@"$id"}
	case $limit:$length in
	:* | *: | *[!0-9:]*) return 1 ;;
	esac
	[ "$command" != "$rest" ] && [ "${#command}" -eq "$length" ]
}

last=
while IFS= read -r line <&3; do
	parse "$line" || continue
	printf '@@%s:RUN\n' "$id" >&3
	if [ "$id" != "$last" ]; then
		last=$id
		command=$(printf '%b' "$command")
		if [ "$limit" -eq 0 ]; then
			set -- sh -c "$command"
		else
			set -- timeout -s KILL "$limit" sh -c "$command"
		fi
		# A new file: what an earlier command left running may still
		# write to the old one.
		rm -f /run/agent.out
		"$@" </dev/null >/run/agent.out 2>&1 3>&-
		status=$?
		size=$(stat -c %s /run/agent.out)
	fi
	{
		printf '@@%s:BEGIN\n' "$id"
		head -c "$size" /run/agent.out
		printf '\n@@%s:END %d %d\n' "$id" "$status" "$size"
	} >&3
done
