#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the disk of the demo: an ext4 image with real files of this machine
# and their sums. usage: image.sh IMAGE [MEBIBYTES-OF-FILES]
set -euo pipefail

image=$1
want=$((${2:-52} << 20))
[ ! -s "$image" ] || exit 0

tree=$(mktemp -d)
trap 'rm -rf "$tree" "$image.new"' EXIT
mkdir "$tree/files"
have=0 nr=0
while IFS= read -r -d '' file; do
	size=$(stat -c %s "$file")
	# names repeat in /usr/lib, so number them
	cp "$file" "$tree/files/$((nr += 1))-${file##*/}"
	have=$((have + size))
	[ "$have" -lt "$want" ] || break
done < <(find /usr/bin /usr/lib /usr/share -xdev -type f -size +4k -size -4096k -print0 2>/dev/null |
	sort -z)
[ "$have" -ge "$want" ] || { echo "image.sh: not enough files in /usr" >&2; exit 1; }
(cd "$tree/files" && sha256sum -- * >"$tree/SHA256SUMS")
mkdir -p "${image%/*}"
# half as much again for what the guest writes, and ext4's own
mke2fs -q -t ext4 -L demo -d "$tree" "$image.new" "$(((have + want) / 1024))k" >/dev/null 2>&1
mv "$image.new" "$image"
