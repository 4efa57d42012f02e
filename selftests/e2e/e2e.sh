#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The whole of portal with an unmodified QEMU, in L1 of the rig: see README.md.
# usage: e2e.sh [PATTERN] runs the cases whose names match.
set -u
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/../.." && pwd -P)
cd "$top" || exit 1
build=${O:-build}
case_pattern=${1:-.}
work=$(mktemp -d /tmp/portal-e2e.XXXXXX)
chmod 755 "$work"
initrd=$build/e2e/guest-${PORTAL_KERNEL:-6.1}.cpio.gz
case $build in
/*) ;;
*) initrd=$top/$initrd ;;
esac
export PORTAL_GUEST_INITRD=${PORTAL_GUEST_INITRD:-$initrd}

# shellcheck source=selftests/demo/lib.sh
. "$self/../demo/lib.sh"
# shellcheck source=selftests/rig/dmesg.sh
. "$self/../rig/dmesg.sh"
# shellcheck source=selftests/e2e/lib.sh
. "$self/lib.sh"
# shellcheck source=selftests/e2e/world.sh
. "$self/world.sh"

[ -s "$PORTAL_GUEST_INITRD" ] || die "no $PORTAL_GUEST_INITRD: run selftests/e2e/prepare.sh on L0"
[ ! -d /sys/module/portal ] || die "portal is loaded already"
make_world || die "cannot make $work"
trap end_world EXIT

# in this order: it saves boots
for theme in attach config guest pause disk disk_admin backend blk example machine agent node hook death; do
	# shellcheck source=/dev/null
	. "$self/${theme}_cases.sh"
done
summary
