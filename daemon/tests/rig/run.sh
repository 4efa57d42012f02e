#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds what the end-to-end test needs and runs it: run.sh [KERNEL]
set -eu
cd "$(dirname "$0")/../../.."
kernel=${1:-6.12}
O=${O:-build}
release=$(cat "$O/rig/$kernel/release" 2>/dev/null || selftests/rig/kernel.sh "$kernel" >/dev/null &&
	cat "$O/rig/$kernel/release")
[ -n "${PORTAL_KO:-}" ] || make -s module guest KVER="$release"
make -s -C selftests/guest O="$PWD/$O/guest"
make -s -C daemon all O="$PWD/$O"
make -s -C daemon "$PWD/$O/daemon/tests/plugins/crash.so" O="$PWD/$O"
selftests/rig/guest.sh --kernel "$kernel" --add "$O/guest/portal-call:/bin/portal-call" \
	${PORTAL_GUEST_KO:+--module "$PORTAL_GUEST_KO"} --output "$PWD/$O/e2e-guest.$kernel.gz"
exec selftests/rig/boot.sh --kernel "$kernel" --timeout "${TIMEOUT:-600}" -- \
	env O="$O" PORTAL_KO="${PORTAL_KO:-}" \
	PORTAL_GUEST_INITRD="$PWD/$O/e2e-guest.$kernel.gz" bash daemon/tests/rig/e2e.sh
