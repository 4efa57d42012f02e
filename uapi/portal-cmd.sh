#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes portal_cmd.h and commands.rst from portal_cmd.def.
# usage: portal-cmd.sh [--check]   --check: only compare with what is there
set -eu
cd "$(dirname "$0")/.."
def=uapi/linux/portal_cmd.def
awk=uapi/portal-cmd.awk
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

hash_of()
{
	sha256sum "$1" | cut -c1-"$2"
}

# The layouts, each line "OP_NUMBER text", without what a reader only needs.
awk -v mode=layout -f $awk $def >"$tmp/layout"
hash=$(hash_of "$tmp/layout" 16)
cut -d' ' -f1 "$tmp/layout" | uniq | while read -r op; do
	grep "^$op " "$tmp/layout" >"$tmp/one"
	echo "$op $(hash_of "$tmp/one" 8)"
done >"$tmp/hashes"
awk -v mode=header -v hash="$hash" -f $awk "$tmp/hashes" $def >"$tmp/portal_cmd.h"
awk -v mode=rst -v hash="$hash" -f $awk "$tmp/hashes" $def >"$tmp/commands.rst"

status=0
for out in uapi/linux/portal_cmd.h Documentation/portal/commands.rst; do
	if [ "${1:-}" = --check ]; then
		cmp "$tmp/${out##*/}" $out || status=1
	else
		cmp -s "$tmp/${out##*/}" $out || cp "$tmp/${out##*/}" $out
	fi
done
[ $status = 0 ] || echo "run uapi/portal-cmd.sh" >&2
exit $status
