# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every script of the rig needs to know: where things are, and which
# kernel package a name such as "6.12" or "6.1-rt" stands for. Source it.

rig_self=$(cd "${BASH_SOURCE[0]%/*}" && pwd -P)
rig_top=$(cd "$rig_self/../.." && pwd -P)

# O may be relative to the top of the tree, as with the kernel's own make.
rig_build=${O:-build}
case $rig_build in
/*) ;;
*) rig_build=$rig_top/$rig_build ;;
esac
[ -d "$rig_build/rig" ] || mkdir -p "$rig_build/rig"
rig_build=$(cd "$rig_build" && pwd -P)
rig_dir=$rig_build/rig

say()
{
	printf 'rig: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit "${rig_die_status:-1}"
}

# rig_need TOOL...: one clear message instead of "command not found" later.
rig_need()
{
	local tool

	for tool; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing: run selftests/rig/deps.sh rig"
	done
}

# rig_qemu_is_new QEMU: does it translate and inject what a guest's guest needs? 8.1
# has "accel/tcg: Always lock pages before translation", 8.2 more (README.md).
rig_qemu_is_new()
{
	local version

	version=$("$1" --version | sed -n 's/^QEMU emulator version \([0-9.]*\).*/\1/p')
	[ "$(printf '%s\n' 8.2 "$version" | sort -V | head -n 1)" = 8.2 ]
}

# kvm_usable: a /dev/kvm that exists proves nothing (containers pass it through
# from hosts that refuse to run anything), so create a VM. L1 in turn needs a
# CPU with svm or vmx, and the host's KVM must hand that on.
kvm_usable()
{
	local nested

	grep -qwE 'svm|vmx' /proc/cpuinfo || return
	nested=$(cat /sys/module/kvm_{amd,intel}/parameters/nested \
		2>/dev/null) || true
	[[ $nested == [1Y] ]] || return
	# 0xae01 is KVM_CREATE_VM; perl-base is on every Debian system.
	perl -e 'open(my $kvm, "+<", "/dev/kvm") or exit 1;
		exit(defined(ioctl($kvm, 0xae01, 0)) ? 0 : 1)'
}

# rig_accel: what L1 gets, kvm or tcg
rig_accel()
{
	if [ -n "${PORTAL_RIG_ACCEL:-}" ]; then
		echo "$PORTAL_RIG_ACCEL"
	elif kvm_usable; then
		echo kvm
	else
		echo tcg
	fi
}

# rig_image_pattern NAME: the names of all packages of that series and flavour.
# Debian 12 has 6.1.0-56-amd64 and 6.12.117+deb12-amd64, with -cloud and -rt.
rig_image_pattern()
{
	local series=${1%%-*} flavour=

	case $1 in
	*-*) flavour=${1#*-}- ;;
	esac
	printf '^%s\\.[0-9]+([-+][0-9a-z]+)?-%samd64$' \
		"${series//./\\.}" "$flavour"
}

# rig_releases KIND NAME: releases apt can offer, oldest first.
# KIND is image or headers.
rig_releases()
{
	apt-cache search --names-only "^linux-$1-${2%%-*}" |
		sed -n "s/^linux-$1-\([^ ]*\) - .*/\1/p" |
		grep -E "$(rig_image_pattern "$2")" | sort -V
}

# rig_release NAME: the kernel release (uname -r) to use for NAME. A cached
# kernel wins, so that a new package in the archive never changes a rig under
# a module that was built for the old one. Otherwise it is the newest release
# that has both an image and headers: the archive signs images some hours
# after it has the headers.
rig_release()
{
	if [ -s "$rig_dir/$1/release" ]; then
		cat "$rig_dir/$1/release"
		return
	fi
	comm -12 <(rig_releases image "$1" | sort) \
		<(rig_releases headers "$1" | sort) | sort -V | tail -n 1
}

# rig_modules ROOT RELEASE MODULE...: the .ko files of the modules and all
# they depend on, in loading order, relative to ROOT. Built-in ones and ones
# this kernel does not have are left out: names differ between 6.1 and 6.12.
rig_modules()
{
	local root=$1 release=$2

	shift 2
	{ modprobe -d "$root" -S "$release" -a --show-depends "$@" \
		2>/dev/null || true; } |
		awk -v root="$root/" '$1 == "insmod" && !seen[$2]++ {
			sub(root, "", $2); print $2 }'
}

# rig_copy_module SRC DSTDIR: copies one module, uncompressed, because the
# insmod of an initramfs understands nothing else.
rig_copy_module()
{
	local name=${1##*/}

	mkdir -p "$2"
	case $name in
	*.xz) xz -dc "$1" >"$2/${name%.xz}" ;;
	*.zst) zstd -qdc "$1" >"$2/${name%.zst}" ;;
	*) cp "$1" "$2/" ;;
	esac
}

# rig_cpio DIR: an initramfs of DIR on stdout.
rig_cpio()
{
	(cd "$1" && find . -print0 | sort -z |
		cpio --null --create --format=newc --owner=0:0 --quiet)
}
