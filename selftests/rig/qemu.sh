#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Says which QEMU emulates L1: this system's, if it is new enough, else the
# one of Debian's backports, unpacked under build/rig/qemu without installing it. L2
# has this system's in any case. No newer one to be had: this system's, with a note.
# usage: qemu.sh [--update]
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1-} in
--update) rm -rf "${rig_dir:?}/qemu" "$rig_dir/.no-qemu" ;;
'') ;;
*) die "usage: qemu.sh [--update]" ;;
esac

rig_need apt-get dpkg flock qemu-system-x86_64
if [ -n "${PORTAL_RIG_QEMU:-}" ]; then
	echo "$PORTAL_RIG_QEMU"
	exit
fi
if rig_qemu_is_new qemu-system-x86_64; then
	echo qemu-system-x86_64
	exit
fi

# Two boots may start at once; only one of them downloads.
exec 9>"$rig_dir/.qemu.lock"
flock 9
mine=$rig_dir/qemu/qemu
if [ -x "$mine" ]; then
	echo "$mine"
	exit
fi
# asked not long ago
if [ -n "$(find "$rig_dir/.no-qemu" -mmin -60 2>/dev/null)" ]; then
	echo qemu-system-x86_64
	exit
fi

# fetch DIRECTORY: unpacks the packages there, as apt's own user cannot
fetch()
{
	local to=$1 uri suite opts deb

	# shellcheck disable=SC2016 # apt's words
	read -r uri suite < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' \
		'Created-By: Packages' 'Component: main' | head -n 1)
	[ -n "$uri" ] || return
	mkdir -p "$to/lists/partial" "$to/cache/archives/partial" "$to/root"
	echo "deb $uri $suite-backports main" >"$to/sources.list"
	opts=(-qq -o "Dir::Etc::SourceList=$to/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$to/lists" -o "Dir::Cache=$to/cache"
		-o APT::Sandbox::User=root -o Acquire::Retries=2 -o Acquire::http::Timeout=30)
	apt-get "${opts[@]}" update >&2 || return
	(cd "$to" && apt-get "${opts[@]}" -t "$suite-backports" download \
		qemu-system-x86 qemu-system-data seabios >&2) || return
	for deb in "$to"/*.deb; do
		dpkg -x "$deb" "$to/root" || return
		rm "$deb"
	done
	rm -rf "$to/lists" "$to/cache"
	! ldd "$to/root/usr/bin/qemu-system-x86_64" | grep -F 'not found' >&2 || return
	rig_qemu_is_new "$to/root/usr/bin/qemu-system-x86_64"
}

work=$(mktemp -d "$rig_dir/.unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "fetching a newer QEMU to emulate L1"
if fetch "$work"; then
	cat >"$work/qemu" <<-'RUN'
		#!/bin/sh
		root=${0%/*}/root/usr
		exec "$root/bin/qemu-system-x86_64" -L "$root/share/qemu" -L "$root/share/seabios" "$@"
	RUN
	chmod 755 "$work" "$work/qemu"
	rm -rf "${rig_dir:?}/qemu"
	mv "$work" "$rig_dir/qemu"
	trap - EXIT
	echo "$mine"
else
	say "there is none to be had: a guest under emulation may die (README.md, known limits)"
	touch "$rig_dir/.no-qemu"
	echo qemu-system-x86_64
fi
