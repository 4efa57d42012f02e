#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds what the L2 guest is made of: build/rig/NAME/guest.cpio.gz to go with
# the kernel build/rig/NAME/vmlinuz, and build/rig/guest-run to talk to it.
set -euo pipefail
# shellcheck source=selftests/rig/lib.sh
. "$(dirname "$0")/lib.sh"

usage()
{
	cat <<-'USAGE'
	usage: guest.sh [OPTION...]
	  --kernel NAME    the guest's kernel (default $PORTAL_GUEST_KERNEL, or
	                   $PORTAL_KERNEL, or 6.12)
	  --module FILE    add a module of ours; modprobe in the guest finds it.
	                   Without any, a portal_guest.ko below build/ or guest/
	                   that was built for this kernel is taken.
	  --add FROM:TO    add a file; programs bring their shared libraries
	  --output FILE    write the initramfs there instead
	USAGE
	exit "${1:-2}"
}

name=${PORTAL_GUEST_KERNEL:-${PORTAL_KERNEL:-6.12}}
modules=() files=() output=
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) usage 0 ;;
	esac
	[ $# -ge 2 ] || usage
	case $1 in
	--kernel) name=$2 ;;
	--module) modules+=("$2") ;;
	--add) [[ $2 == *:/* ]] || usage; files+=("$2") ;;
	--output) output=$2 ;;
	*) usage ;;
	esac
	shift 2
done

rig_need busybox cc cpio depmod gzip ldd modinfo modprobe
image=$rig_dir/$name
[ -s "$image/release" ] || "$rig_self/kernel.sh" "$name" >/dev/null
release=$(cat "$image/release")
output=${output:-$image/guest.cpio.gz}

built_for()
{
	[[ $(modinfo -F vermagic "$1" 2>/dev/null) == "$release "* ]]
}

if [ ${#modules[@]} -eq 0 ]; then
	while IFS= read -r -d '' file; do
		if built_for "$file"; then
			modules=("$file")
			break
		fi
	done < <(find "$rig_build" "$rig_top/guest" -path "$rig_dir" -prune \
		-o -name portal_guest.ko -print0 2>/dev/null)
fi

tree=$(mktemp -d "$rig_dir/.guest.XXXXXX")
trap 'rm -rf "$tree" "$tree.gz"' EXIT

# add_file FROM TO: with the libraries and the loader FROM names, at the paths
# where the loader looks for them.
add_file()
{
	local library

	install -D "$1" "$tree$2"
	for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		[ -e "$tree$library" ] || install -D "$library" "$tree$library"
	done
}

mkdir -p "$tree/bin"
cp "$(command -v busybox)" "$tree/bin/busybox"
install -m 755 "$rig_self/guest-init.sh" "$tree/init"

# What a guest of portal uses; 9p and networks are not among it.
rig_modules "$image/root" "$release" virtio virtio_ring virtio_mmio \
	virtio_blk virtio_pci virtio_console ext4 crc32c_generic |
	while read -r file; do
		rig_copy_module "$image/root/$file" "$tree/${file%/*}"
	done
kernel_tree=$tree/lib/modules/$release
mkdir -p "$kernel_tree/extra"
for file in "${modules[@]}"; do
	built_for "$file" || die "$file was not built for $release"
	rig_copy_module "$file" "$kernel_tree/extra"
done
cp "$image/root/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} \
	"$kernel_tree/"
depmod -b "$tree" "$release"

for file in "${files[@]}"; do
	[ -f "${file%%:*}" ] || die "no such file: ${file%%:*}"
	add_file "${file%%:*}" "${file#*:}"
done

# Fast compression: unpacking is what costs, in a guest of a guest.
rig_cpio "$tree" | gzip -1 -n >"$tree.gz"
mv "$tree.gz" "$output"

client=$rig_dir/guest-run
if [ ! "$client" -nt "$rig_self/guest_run.c" ]; then
	cc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$tree/guest-run" \
		"$rig_self/guest_run.c"
	mv "$tree/guest-run" "$client"
fi
echo "$output"
