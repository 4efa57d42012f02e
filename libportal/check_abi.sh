#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The library's promise: every exported symbol is a function of the header, has a
# version and a man page, and is what libkvmportal.abi says it was.
#
# usage: check_abi.sh [--update] [LIBRARY]
#   --update  record functions that are new; what was recorded stays as it is
set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd -P)
record=$self/libkvmportal.abi
update=
[ "${1:-}" != --update ] || { update=1; shift; }
build=${O:-$self/../build}
lib=${1:-$build/libportal/libkvmportal.so}
[ -e "$lib" ] || { echo "check_abi.sh: no $lib: make lib" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

complain()
{
	echo "check_abi.sh: $*" >&2
	bad=1
}

# NAME PROTOTYPE of each function of the header, one a line
prototypes()
{
	gcc -E -P -I"$self/include" -I"$self/../uapi" "$self/include/kvmportal/portal.h" |
		grep -v '^#' | tr '\n\t' '  ' | sed 's/[;{}]/\n/g' |
		sed -nE 's/^ *//; s/ +/ /g; s/ *([(,*)]) */\1/g
			/^typedef/d
			/^[a-z_][a-z0-9_ *]*[ *]portal_[a-z0-9_]+\(.*\)$/ {
				s/^(.*[ *])(portal_[a-z0-9_]+)(\(.*)$/\2 \1\2\3/p
			}' | sort -u
}

# NAME VERSION of each exported symbol; one without a version has "-"
exports()
{
	nm -D --defined-only "$1" | awk '$2 ~ /[TWDBRVi]/ && $3 !~ /^KVMPORTAL_/ {
		n = split($3, part, "@@?"); print part[1], (n > 1 ? part[2] : "-") }' | sort -u
}

# The man page of a function, through .so, if it names it
has_page()
{
	local page=$self/man/$1.3 to

	[ -f "$page" ] || return
	to=$(sed -n 's/^\.so man3\///p' "$page")
	grep -qE "^\.Nm $1( ,)?$" "$self/man/${to:-$1.3}" 2>/dev/null
}

prototypes >"$work/header"
exports "$lib" >"$work/exports"
for list in header exports; do
	[ -s "$work/$list" ] || { complain "found no functions"; exit 1; }
done

while read -r name version; do
	case $name in
	_init | _fini) continue ;;
	esac
	[ "$version" != - ] || complain "$name has no version"
	has_page "$name" || complain "$name has no man page"
	proto=$(sed -n "s/^$name //p" "$work/header")
	if [ -z "$proto" ]; then
		complain "$name is exported, but not in the header"
		continue
	fi
	echo "$version $proto" >>"$work/now"
done <"$work/exports"
while read -r name _; do
	grep -q "^$name " "$work/exports" || complain "$name is in the header, but not exported"
done <"$work/header"

touch "$record"
while read -r line; do
	grep -qxF "$line" "$work/now" || complain "changed or gone: $line"
done <"$record"
while read -r line; do
	grep -qxF "$line" "$record" && continue
	if [ -n "$update" ]; then
		echo "$line" >>"$record"
		echo "recorded: $line"
	else
		complain "new, not recorded (check_abi.sh --update): $line"
	fi
done <"$work/now"
[ -z "$update" ] || sort -o "$record" "$record"
[ "$bad" = 0 ] && echo "$(wc -l <"$work/now") functions, as recorded"
