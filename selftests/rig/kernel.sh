#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Fetches a stock Debian kernel and unpacks it under build/rig/NAME, without
# installing anything. Does nothing, and needs no network, when it is there.
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

usage()
{
	cat <<-'USAGE'
	usage: kernel.sh [--update] SERIES [FLAVOUR]
	  SERIES    6.1 or 6.12
	  FLAVOUR   cloud or rt
	  --update  look for a newer package even when one is cached
	Result: build/rig/SERIES[-FLAVOUR]/{release,vmlinuz,config,root/lib/modules}
	USAGE
	exit "${1:-2}"
}

update=
case ${1-} in
--update) update=1; shift ;;
-h | --help) usage 0 ;;
esac
case $# in
1) name=$1 ;;
2) name=$1-$2 ;;
*) usage ;;
esac
[[ $name =~ ^[0-9]+\.[0-9]+(-[a-z]+)?$ ]] || usage
# built, not fetched
[[ $name != *-debug || -s $rig_dir/$name/release ]] ||
	die "$name is not there: make debug-kernel"

# Two boots may start at once; only one of them downloads.
exec 9>"$rig_dir/.$name.lock"
flock 9

[ -n "$update" ] && rm -rf "${rig_dir:?}/$name"
if [ -s "$rig_dir/$name/release" ]; then
	cat "$rig_dir/$name/release"
	exit 0
fi

rig_need depmod dpkg xz
release=$(rig_release "$name")
if [ -z "$release" ]; then
	say "no kernel $name in the package lists: updating them"
	apt-get -qq update >&2
	release=$(rig_release "$name")
fi
[ -n "$release" ] || die "the archive has no kernel $name with headers"

work=$(mktemp -d "$rig_dir/.unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "fetching linux-image-$release"
# The download directory is ours, so apt's own unprivileged user cannot write
# there; tell apt so instead of having it warn.
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root \
	download "linux-image-$release" >&2)
dpkg -x "$work"/linux-image-*.deb "$work/root"
rm -f "$work"/linux-image-*.deb

mv "$work/root/boot/vmlinuz-$release" "$work/vmlinuz"
mv "$work/root/boot/config-$release" "$work/config"
rm -rf "$work/root/boot" "$work/root/usr"
# These two links are what "make -C /lib/modules/$(uname -r)/build" needs; the
# headers package would have made them.
ln -s "/usr/src/linux-headers-$release" "$work/root/lib/modules/$release/build"
depmod -b "$work/root" "$release"
echo "$release" >"$work/release"

rm -rf "${rig_dir:?}/$name"
mv "$work" "$rig_dir/$name"
chmod 755 "$rig_dir/$name"
trap - EXIT
[ -d "/usr/src/linux-headers-$release" ] ||
	say "note: linux-headers-$release is not installed (deps.sh build)"
echo "$release"
