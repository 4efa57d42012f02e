#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# On L0: builds what e2e.sh needs on one kernel. usage: prepare.sh [SERIES]
set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd -P)
cd "$self/../.."
build=${O:-build}
kernel=${1:-${PORTAL_KERNEL:-6.1}}
guest_kernel=${PORTAL_GUEST_KERNEL:-$kernel}
out=$build/e2e
mkdir -p "$out"

release_of()
{
	[ -s "$build/rig/$1/release" ] || selftests/rig/kernel.sh "$1" >/dev/null
	cat "$build/rig/$1/release"
}

release=$(release_of "$kernel")
guest_release=$(release_of "$guest_kernel")
make -s all guest-programs
# for systemd.sh: what an administrator would install
rm -rf "$out/root"
make -s install DESTDIR="$(realpath "$out")/root" PREFIX=/usr >/dev/null
make -s module KVER="$release"
make -s guest KVER="$guest_release"
make -s -C selftests/e2e O="$(realpath "$build")"
make -s -C selftests/e2e O="$(realpath "$build")" module KVER="$guest_release"
selftests/demo/image.sh "$out/files.img" 6
selftests/rig/guest.sh --kernel "$guest_kernel" --output "$out/guest-$kernel.cpio.gz" \
	--module "$build/kmod/$guest_release-guest/module/guest/portal_guest.ko" \
	--module "$out/kmod-$guest_release/e2e_hc.ko" \
	--add "$build/guest/portal-call:/bin/portal-call" \
	--add "$out/guest/e2e-events:/bin/e2e-events" \
	--add "$out/guest/e2e-target:/bin/e2e-target" \
	--add "$out/guest/e2e-hook:/bin/e2e-hook" \
	--add "$out/guest/e2e-node:/bin/e2e-node" \
	--add "$out/guest/e2e-ask:/bin/e2e-ask" \
	--add selftests/e2e/guest/e2e-guest.sh:/bin/e2e-guest
