# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Did the kernel complain while a test ran? Source this, then:
#   dmesg_mark NAME     before the test
#   dmesg_check         after it: prints the complaints and fails if any
#
# The marker goes into the log itself, so nothing is missed or counted twice
# when the log is read by others, and a wrapped log is noticed.

# What a kernel prints when it has found a bug in itself or in us. Tests that
# provoke such a line on purpose set dmesg_allow to an extended regular
# expression of what to overlook.
dmesg_bad='WARNING:|BUG:|BUG |Oops|KASAN|KCSAN|KFENCE|UBSAN|RIP:|lockdep'
dmesg_bad+='|possible circular|possible recursive|inconsistent lock state'
dmesg_bad+='|suspicious RCU|sleeping function|scheduling while atomic'
dmesg_bad+='|hung task|blocked for more than|soft lockup|hard LOCKUP'
dmesg_bad+='|rcu.*detected stalls?|refcount_t:|general protection'
dmesg_bad+='|Call Trace|unable to handle|list_(add|del) corruption'
dmesg_bad+='|kernel NULL pointer|double free|use-after-free'
dmesg_bad+='|page allocation failure|kmemleak: [0-9]+ new'
dmesg_allow=
dmesg_marker=

dmesg_mark()
{
	# Unique, so that a repeated test does not find its first run.
	dmesg_marker="rig-mark: ${1:-test} $$ $RANDOM$RANDOM"
	echo "$dmesg_marker" >/dev/kmsg
}

# dmesg_since: the kernel log after the marker. Fails when it has been
# overwritten: then nobody can tell what happened.
dmesg_since()
{
	dmesg | awk -v mark="$dmesg_marker" '
		seen { print }
		index($0, mark) { seen = 1 }
		END { exit !seen }'
}

dmesg_check()
{
	local log bad

	if ! log=$(dmesg_since); then
		echo "dmesg_check: the marker is gone, the log has wrapped" >&2
		return 1
	fi
	bad=$(grep -nE "$dmesg_bad" <<<"$log" |
		grep -vE "${dmesg_allow:-^$}") || return 0
	echo "the kernel complained during ${dmesg_marker#rig-mark: }:" >&2
	echo "$bad" >&2
	# The first complaint in full; what follows is often its consequence.
	sed -n "${bad%%:*},+40p" <<<"$log" >&2
	return 1
}
