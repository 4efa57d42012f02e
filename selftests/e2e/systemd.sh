#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# portald as a service of a real systemd, in L1 of the rig: installs what "make
# install" made into L1's own root (an overlay that is gone afterwards), boots
# systemd in a PID namespace on it, and lets it run systemd_cases.sh.
# usage: systemd.sh [PATTERN] (after prepare.sh on L0)
set -u
self=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$self/../.." && pwd -P)
cd "$top" || exit 1
build=${O:-build}
case $build in
/*) ;;
*) build=$top/$build ;;
esac
tree=$build/e2e/root
run=/run/portal-systemd

skip_all()
{
	echo "1..0 # SKIP $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}

[ "${PORTAL_RIG:-}" = 1 ] || skip_all "it changes the system it runs on: only in the rig"
for program in /lib/systemd/systemd /lib/systemd/systemd-udevd systemctl journalctl; do
	command -v $program >/dev/null || skip_all "no $program: apt-get install systemd udev"
done
[ -x "$tree/usr/sbin/portald" ] || { echo "no $tree: run selftests/e2e/prepare.sh on L0"; exit 1; }

# a user runs programs of this tree, which may be where only root may look (/root);
# this root is an overlay, what it changes stays here
for dir in "$top" "$build"; do
	while [ "$dir" != / ]; do
		chmod a+rx "$dir"
		dir=$(dirname "$dir")
	done
done

mkdir -p $run
cp -a "$tree/." /
ldconfig
mkfifo $run/out
cat >$run/env <<-ENV
PATH=$PATH
HOME=/root
LANG=C.UTF-8
PORTAL_RIG=1
PORTAL_KERNEL=${PORTAL_KERNEL:-6.12}
O=$build
ENV
cat >/etc/systemd/system/portal-test.service <<-UNIT
[Unit]
Description=tests of portald.service
SuccessAction=exit-force
FailureAction=exit-force
# the tests stop portald more often than an administrator
Wants=systemd-journald.service systemd-udevd.service systemd-sysusers.service
Wants=systemd-tmpfiles-setup.service
After=systemd-journald.service systemd-udevd.service systemd-sysusers.service
After=systemd-tmpfiles-setup.service
DefaultDependencies=no
[Service]
Type=oneshot
EnvironmentFile=$run/env
WorkingDirectory=$top
ExecStart=/bin/bash $self/systemd_cases.sh ${1:-.}
StandardOutput=file:$run/out
StandardError=inherit
TimeoutStartSec=500
UNIT
# What portald needs, and nothing of what this machine happens to run.
cat >/etc/systemd/system/portal-test.target <<-UNIT
[Unit]
Requires=portal-test.service
UNIT
for unit in systemd-udev-trigger systemd-binfmt systemd-timesyncd systemd-pstore \
	systemd-update-utmp systemd-random-seed systemd-repart systemd-firstboot \
	systemd-machine-id-commit systemd-modules-load systemd-sysctl; do
	ln -sf /dev/null /etc/systemd/system/$unit.service
done

cat $run/out &
env -i PATH="$PATH" container=portal-rig \
	unshare --pid --mount --mount-proc --fork --kill-child \
	/lib/systemd/systemd --system --unit=portal-test.target \
	--show-status=no --log-target=kmsg --log-level=warning </dev/null >$run/console 2>&1
status=$?
wait
[ -s $run/summary ] || {
	echo "systemd ended ($status) before the tests did; its console:"
	tail -n 40 $run/console
	exit 1
}
exit $status
