# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # work is e2e.sh's
#
# Cases, and what they say. A case is a function; it runs in a subshell under
# set -e, so whatever fails in it fails the case. What it leaves behind is in
# files and in the system: the next one looks (world.sh).

case_pattern=${case_pattern:-.}
cases_run=0 cases_passed=0 cases_failed=0 cases_skipped=0

# fail WHY: ends the case
fail()
{
	tr '\n' ' ' <<<"$*" | cut -c1-300 >"$work/why"
	exit 1
}

skip()
{
	echo "$*" >"$work/skip"
	exit 0
}

# ERR trap of a case: the command that failed, in case nobody says why. The
# last one counts, as the trap also runs for what a case puts up with.
note_failure()
{
	head -n 1 <<<"$1: $2" >"$work/error"
}

# test_case NAME FUNCTION [ARGUMENT...]
test_case()
{
	local name=$1 status start=$SECONDS what='not ok' why=''

	shift
	[[ $name =~ $case_pattern ]] || return 0
	# an earlier try's (check.sh)
	! grep -qxFs -e "$name" "${PORTAL_CASES_DONE:-/dev/null}" || return 0
	cases_run=$((cases_run + 1))
	rm -f "$work/why" "$work/error" "$work/skip" "$work/background"
	dmesg_mark "$name"
	(
		set -eE
		shopt -s inherit_errexit
		trap 'note_failure "${BASH_SOURCE[0]##*/}:$LINENO" "$BASH_COMMAND"' ERR
		"$@"
	) >"$work/case.log" 2>&1
	status=$?
	end_background
	if ! dmesg_check >>"$work/case.log" 2>&1; then
		status=1
		[ -s "$work/why" ] || echo "the kernel complained" >"$work/why"
	fi
	if [ $status != 0 ]; then
		cases_failed=$((cases_failed + 1))
		why=$(cat "$work/why" "$work/error" 2>/dev/null | head -n 1)
		why=" # ${why:-no reason given}"
		suspect
	elif [ -s "$work/skip" ]; then
		what=ok
		cases_skipped=$((cases_skipped + 1))
		why=" # SKIP $(cat "$work/skip")"
	else
		what=ok
		cases_passed=$((cases_passed + 1))
	fi
	echo "$what $cases_run - $name$why"
	echo "#   $((SECONDS - start)) s, ends at $SECONDS s"
	[ $status = 0 ] || {
		sed 's/^/#   | /' "$work/case.log" | tail -n 40
		diagnose | sed 's/^/#   | /'
	}
}

# background COMMAND...: ends with the case, if not before
background()
{
	"$@" &
	echo $! >>"$work/background"
}

end_background()
{
	local pid

	[ -s "$work/background" ] || return 0
	while read -r pid; do
		kill "$pid" 2>/dev/null
	done <"$work/background"
	rm -f "$work/background"
}

summary()
{
	echo "$cases_passed passed, $cases_failed failed, $cases_skipped skipped"
	[ $cases_failed = 0 ] && [ $cases_run -gt 0 ]
}

# says PATTERN COMMAND...: it succeeds, and PATTERN (ERE) is in its output
says()
{
	local pattern=$1 out

	shift
	out=$("$@" 2>&1) || fail "$*: fails: $out"
	grep -qE -e "$pattern" <<<"$out" || fail "$*: says '$out', not '$pattern'"
}

# refuses PATTERN COMMAND...: it fails, for the reason PATTERN, maybe over lines
refuses()
{
	local pattern=$1 out status=0

	shift
	out=$("$@" 2>&1) || status=$?
	[ $status != 0 ] || fail "$*: succeeds: $out"
	[ $status != 124 ] || fail "$*: does not end"
	[ $status != 125 ] || fail "$*: the guest is gone"
	tr '\n' ' ' <<<"$out" | grep -qE -e "$pattern" || fail "$*: says '$out', not '$pattern'"
}

# within SECONDS COMMAND...: wait for a state
within()
{
	until_true "$@" || fail "after $1 s still not: ${*:2}"
}

# equal WHAT GOT WANTED
equal()
{
	[ "$2" = "$3" ] || fail "$1 is $2, not $3"
}

# at_most WHAT GOT LIMIT, at_least WHAT GOT LIMIT
at_most()
{
	[ "$2" -le "$3" ] || fail "$1 is $2, more than $3"
}

at_least()
{
	[ "$2" -ge "$3" ] || fail "$1 is $2, less than $3"
}

not()
{
	! "$@"
}

now_ms()
{
	date +%s%3N
}

# ended PID: no such process, or only its remains
ended()
{
	! [ -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}
