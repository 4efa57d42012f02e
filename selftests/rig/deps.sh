#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Installs what portal needs on a Debian 12 system. Prints what it would
# install first; skips what is there; needs no network when all is there.
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

usage()
{
	cat <<-'USAGE'
	usage: deps.sh [--list] [SET...]
	  build   compiler, libraries, headers of both kernels   (default)
	  rig     QEMU and what the initramfs images are made of  (default)
	  check   static analysis, libFuzzer and the TAP runner   (default)
	  libkvm  kernel source, for the LIBKVM tests
	  debug   kernel source and what building a kernel needs
	  ceph    a Ceph cluster, for the rbd plugin's long test (220 MB)
	  flavours  headers of the cloud and rt kernels
	  perf      the disks that portal's is compared to
	  --list  print what is missing and install nothing
	USAGE
	exit "${1:-2}"
}

declare -A packages=(
	[build]="build-essential libcap-ng-dev libcmocka-dev libinih-dev
		libjson-c-dev libnbd-dev librbd-dev liburing-dev libseccomp-dev libsystemd-dev kmod
		pahole pkg-config python3-dev @headers-6.1 @headers-6.12"
	[rig]="busybox-static cpio e2fsprogs gzip jq kmod qemu-system-x86
		util-linux xz-utils zstd"
	[check]="btrfs-progs clang libclang-rt-dev mandoc nbdkit perl procps qemu-utils shellcheck
		sparse systemd udev xfsprogs"
	[libkvm]="build-essential xz-utils linux-source-6.1"
	[debug]="bc bison build-essential cpio flex kmod libelf-dev libssl-dev
		linux-source-6.12 xz-utils"
	[perf]="qemu-system-common qemu-utils"
	[ceph]="ceph-common ceph-mgr ceph-mon ceph-osd librbd-dev"
	[flavours]="@headers-6.1-cloud @headers-6.1-rt @headers-6.12-cloud
		@headers-6.12-rt"
)

installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The headers must be those of the very image the rig boots, so they are named
# by release: a meta package would move on while the cached image stays.
expand()
{
	local word release

	for word; do
		case $word in
		@headers-*)
			release=$(rig_release "${word#@headers-}")
			[ -n "$release" ] || return 1
			echo "linux-headers-$release"
			;;
		*)
			echo "$word"
			;;
		esac
	done
}

# wanted SET...: every package of the sets. Fails when the package lists are
# too old (or absent) to tell.
wanted()
{
	local set words=()

	for set; do
		read -r -d '' -a words <<<"${packages[$set]}" || true
		expand "${words[@]}" || return
	done | sort -u
}

# known PACKAGE...: can apt install all of them?
known()
{
	local package

	for package; do
		[[ $(apt-cache policy "$package") == *"Candidate: "[0-9]* ]] ||
			return
	done
}

# find_missing SET...: fills the array "missing".
find_missing()
{
	local all package

	missing=()
	all=$(wanted "$@") || return
	for package in $all; do
		installed "$package" || missing+=("$package")
	done
	known "${missing[@]}"
}

list_only=
sets=()
for arg; do
	case $arg in
	--list) list_only=1 ;;
	-h | --help) usage 0 ;;
	*)
		[ -n "${packages[$arg]-}" ] || usage
		sets+=("$arg")
		;;
	esac
done
[ ${#sets[@]} -gt 0 ] || sets=(build rig check)

export DEBIAN_FRONTEND=noninteractive
if ! find_missing "${sets[@]}"; then
	say "updating the package lists"
	apt-get -qq update
	find_missing "${sets[@]}" ||
		die "not all of these can be installed: ${missing[*]-}"
fi

if [ ${#missing[@]} -eq 0 ]; then
	say "nothing to install for: ${sets[*]}"
	exit 0
fi
printf '%s\n' "${missing[@]}"
[ -z "$list_only" ] || exit 0
# Others may be installing too: wait for them instead of failing.
apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends \
	"${missing[@]}"
