#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The main job, shown: see README.md. Builds everything and runs steps.sh in
# the rig, or with --host on this machine's own kernel.
set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/../.." && pwd -P)
# shellcheck source=selftests/demo/lib.sh
. "$self/lib.sh"
cd "$top"

build=${O:-build}
kernel=${PORTAL_KERNEL:-6.1}
host=
case ${1-} in
--host) host=1 ;;
'') ;;
*) echo "usage: demo.sh [--host]" >&2; exit 2 ;;
esac

quiet()
{
	local log=$build/demo/build.log

	"$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "$1 $2: see $log"; }
}

[ "$(id -u)" = 0 ] || die "needs root: it boots kernels and loads modules"
mkdir -p "$build/demo"
if [ -n "$host" ]; then
	release=$(uname -r)
	echo "This loads portal.ko into the running kernel ($release), starts a QEMU guest and"
	echo "portald, and removes all of it again."
	read -r -p "Go on? [y/N] " answer
	[ "$answer" = y ] || exit 1
	if ! [ -e /sys/module/kvm ] || ! [ -w /dev/kvm ]; then
		die "no usable /dev/kvm here: try 'make demo'"
	fi
fi

say "packages"
selftests/rig/deps.sh build rig
if [ -z "$host" ]; then
	say "kernel $kernel"
	selftests/rig/kernel.sh "$kernel" >/dev/null
	release=$(cat "$build/rig/$kernel/release")
fi
guest_kernel=${PORTAL_GUEST_KERNEL:-$kernel}
[ -s "$build/rig/$guest_kernel/release" ] || selftests/rig/kernel.sh "$guest_kernel" >/dev/null
guest_release=$(cat "$build/rig/$guest_kernel/release")

say "building: library, daemon, portal.ko for $release, portal_guest.ko for $guest_release"
quiet make -s all guest-programs
quiet make -s module KVER="$release"
quiet make -s guest KVER="$guest_release"
say "disk image from files of this machine"
selftests/demo/image.sh "$build/demo/disk.img"
quiet selftests/rig/guest.sh --kernel "$guest_kernel" --output "$build/demo/guest.cpio.gz" \
	--module "$build/kmod/$guest_release-guest/module/guest/portal_guest.ko" \
	--add "$build/guest/portal-call:/bin/portal-call" \
	--add selftests/demo/guest.sh:/bin/demo-guest

export PORTAL_GUEST_KERNEL=$guest_kernel
if [ -n "$host" ]; then
	exec selftests/demo/steps.sh
fi
say "booting the rig (kernel $release; about 10 s)"
# the environment of the rig is its own: say there what steps.sh needs
exec selftests/rig/boot.sh --kernel "$kernel" --timeout "${PORTAL_DEMO_TIMEOUT:-540}" \
	--log "$build/demo/console.log" -- env demo_start="$demo_start" \
	PORTAL_GUEST_KERNEL="$guest_kernel" O="$build" selftests/demo/steps.sh
