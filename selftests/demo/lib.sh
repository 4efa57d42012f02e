# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What demo.sh (outside) and steps.sh (where the kernel is) share.

demo_start=${demo_start:-$(date +%s)}
export demo_start

# say TEXT: a progress line with the seconds since the start
say()
{
	printf '[%4d s] %s\n' $(($(date +%s) - demo_start)) "$*"
}

die()
{
	say "FAILED: $*" >&2
	exit 1
}

# until_true SECONDS COMMAND...: wait for a state, with growing pauses
until_true()
{
	local deadline=$((SECONDS + $1)) pause=0.05

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep "$pause"
		[ "$pause" = 0.4 ] || pause=$(awk "BEGIN { print $pause * 2 }")
	done
}
