#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds the debug kernel (debug.config) from Debian's linux-source and puts it,
# with what modules need to be built against it, into build/rig/6.12-debug.
# Does nothing when it is there and was made of the same source and config.
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

readonly series=6.12
name=$series-debug
jobs=${PORTAL_JOBS:-$(nproc)}
config=$rig_self/debug.config
tarball=/usr/src/linux-source-$series.tar.xz

case $# in
0) ;;
*) echo "usage: debug-kernel.sh" >&2; exit 2 ;;
esac

exec 9>"$rig_dir/.$name.lock"
flock 9

# The package's version names the source; without the package (a machine that
# got a cached kernel) only the config can have changed.
source_version=$(dpkg-query -W -f '${Version}' "linux-source-$series" 2>/dev/null) || true
cached()
{
	[ -s "$rig_dir/$name/release" ] &&
		cmp -s "$config" "$rig_dir/$name/fragment" || return
	[ -z "$source_version" ] ||
		[ "$source_version" = "$(cat "$rig_dir/$name/source")" ]
}
if cached; then
	cat "$rig_dir/$name/release"
	exit 0
fi

[ -s "$tarball" ] || die "$tarball is missing: run selftests/rig/deps.sh debug"
rig_need bc bison depmod flex gcc make xz

# A build that was interrupted goes on where it stopped.
work=$rig_dir/.$name.work
tree=$work/linux
if [ "$(cat "$work/source" 2>/dev/null)" != "$source_version" ]; then
	rm -rf "$work"
	mkdir -p "$tree"
	say "unpacking ${tarball##*/}"
	tar -xJf "$tarball" -C "$tree" --strip-components=1 \
		--exclude='*/Documentation/*/*' --exclude='*/drivers/gpu/drm/*.[ch]' \
		--exclude='*/tools/testing/selftests/*/*'
	echo "$source_version" >"$work/source"
fi

build()
{
	nice make -C "$tree" -s -j "$jobs" KBUILD_BUILD_TIMESTAMP=now \
		KBUILD_BUILD_USER=portal KBUILD_BUILD_HOST=rig "$@" 9>&-
}

build KCONFIG_ALLCONFIG="$config" allnoconfig
# What did not become what it was asked to be is a mistake in the config.
wrong=$(grep '^CONFIG_.*[^n]$' "$config" | grep -vxFf "$tree/.config") || true
[ -z "$wrong" ] || die "not in the result: $wrong"

say "building $name with $jobs jobs: 10 minutes on 2 free CPUs"
build vmlinux bzImage modules
release=$(cat "$tree/include/config/kernel.release")

image=$work/image
rm -rf "$image"
mkdir -p "$image/root"
cp "$tree/arch/x86/boot/bzImage" "$image/vmlinuz"
cp "$tree/.config" "$image/config"
cp "$tree/System.map" "$image/"
cp "$config" "$image/fragment"
echo "$source_version" >"$image/source"
build INSTALL_MOD_PATH="$image/root" modules_install
rm -f "$image/root/lib/modules/$release/"{build,source}
# shellcheck disable=SC2016 # srctree is make's
build run-command KBUILD_RUN_COMMAND='$(srctree)/scripts/package/install-extmod-build '"$image/headers"
ln -s ../../../../headers "$image/root/lib/modules/$release/build"
depmod -b "$image/root" "$release"
echo "$release" >"$image/release"

rm -rf "${rig_dir:?}/$name"
mv "$image" "$rig_dir/$name"
rm -rf "$work"
echo "$release"
