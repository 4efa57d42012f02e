#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A real file system on the block layer and plugin log, then the power goes at
# every end of a flush and at random moments: each time the file system must be
# mounted again, pass fsck, and have all that had been fsynced.
# usage: powercut.sh FILESYSTEM [FLUSHES] [CUTS]: at most so many of each
# Exit status 4: it cannot run here, and says why.
set -u
fs=${1:?ext4, xfs or btrfs}
max_flushes=${2:-1000000} cuts=${3:-200}
self=$(cd "$(dirname "$0")" && pwd -P)
bin=$(cd "${TEST_BUILD:-${O:-$self/../../build}/daemon}" && pwd -P) || exit 1
export TEST_BUILD=$bin
seed=${PORTAL_SEED:-$RANDOM}

cannot() { echo "powercut $fs: $*"; exit 4; }
[ "$(id -u)" = 0 ] || cannot "not root"
[ -c /dev/fuse ] || modprobe fuse 2>/dev/null; [ -c /dev/fuse ] || cannot "no /dev/fuse"
[ -e /dev/loop-control ] || modprobe loop 2>/dev/null
losetup -f >/dev/null 2>&1 || cannot "no loop device"
command -v "mkfs.$fs" >/dev/null || cannot "no mkfs.$fs"
modprobe "$fs" 2>/dev/null
grep -qw "$fs" /proc/filesystems || cannot "no $fs in this kernel"

work=$(mktemp -d /tmp/portal-powercut.XXXXXX)
finish()
{
	umount "$work/mnt" 2>/dev/null
	[ -z "${loop-}" ] || losetup -d "$loop" 2>/dev/null
	umount "$work/disk" 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT
fail() { echo "powercut $fs: FAILED (seed $seed): $*"; exit 1; }

# the file system, and behind it a sector for the marks
case $fs in
ext4) size=$((32 << 20)) opts='' ;;
xfs) size=$((300 << 20)) opts=nouuid ;;
btrfs) size=$((128 << 20)) opts='' ;;
*) cannot "unknown" ;;
esac
mark=$size
mkdir "$work/mnt"
: >"$work/disk"
truncate -s $size "$work/base"
"mkfs.$fs" "$work/base" >/dev/null 2>&1 || fail "mkfs"
truncate -s $((size + 4096)) "$work/base"
cp --sparse=always "$work/base" "$work/image"

# ---- the file system works -------------------------------------------------------
"$bin/tests/blkfuse" "$work/disk" log "log=$work/log" lower=file "lower.path=$work/image" \
	>"$work/up" 2>"$work/blkfuse.err" &
server=$!
until grep -q up "$work/up"; do
	kill -0 $server 2>/dev/null || cannot "$(cat "$work/blkfuse.err")"
	sleep 0.02
done
# shellcheck disable=SC2015
loop=$(losetup -f --show --sizelimit $size "$work/disk") && mount -t "$fs" "$loop" "$work/mnt" ||
	cannot "a loop device on fuse cannot be mounted"

# file N: its number, again and again
content() { yes "file $1" | head -c $(($1 * 3001 % 40000 + 100)); }
number()	# eight bytes, little endian
{
	printf '%b' "\\x$(printf %02x $(($1 & 255)))\\x$(printf %02x $(($1 >> 8)))\0\0\0\0\0\0"
}
files=24
cd "$work/mnt" || exit 1
for ((n = 1; n <= files; n++)); do
	mkdir -p "dir$((n % 5))" noise
	content $n >"dir$((n % 5))/file$n"
	[ $((n % 4)) != 0 ] || mv "dir$((n % 5))/file$n" "dir$((n % 5))/moved$n"
	content $((n + 50)) >"noise/$n"
	rm -f "noise/$((n - 3))"
	sync "dir$((n % 5))"/*"$n" "dir$((n % 5))" . || fail "sync"
	number $n | dd of="$work/disk" bs=512 count=1 conv=sync,notrunc oflag=seek_bytes \
		seek=$mark status=none || fail "mark"
done
cd / || exit 1
umount "$work/mnt" || fail "umount"
losetup -d "$loop" || fail "losetup -d"
loop=
umount "$work/disk" || fail "umount"
wait $server || fail "blkfuse ends with $?"

# ---- the power goes ----------------------------------------------------------------
check_fs()
{
	case $fs in
	ext4) e2fsck -fn "$1" ;;
	xfs) xfs_repair -n "$1" ;;
	btrfs) btrfs check --readonly "$1" ;;
	esac >"$work/fsck" 2>&1
}

check_cut()	# POSITION SEED
{
	local last n name

	cp --sparse=always "$work/base" "$work/cut"
	last=$("$bin/tests/blkreplay" "$work/log" cut "$1" "$2" "$work/cut" $mark) ||
		fail "replay of $1"
	truncate -s $size "$work/cut"
	mount -t "$fs" -o "loop${opts:+,$opts}" "$work/cut" "$work/mnt" ||
		fail "cut after record $1, loss $2: not mounted"
	for ((n = 1; n <= last; n++)); do
		name=$work/mnt/dir$((n % 5))/file$n
		[ $((n % 4)) != 0 ] || name=$work/mnt/dir$((n % 5))/moved$n
		content $n | cmp -s - "$name" ||
			fail "cut after record $1, loss $2: file $n of $last is not what was synced"
	done
	umount "$work/mnt" || fail "umount"
	check_fs "$work/cut" || { cat "$work/fsck"; fail "cut after record $1, loss $2: fsck"; }
	synced=$((synced + last))
}

synced=0 flushes=0
records=$("$bin/tests/blkreplay" "$work/log" records)
mapfile -t boundaries < <("$bin/tests/blkreplay" "$work/log" flushes)
[ ${#boundaries[@]} -ge 20 ] || fail "only ${#boundaries[@]} flushes"
step=$(((${#boundaries[@]} + max_flushes - 1) / max_flushes))
for ((i = 0; i < ${#boundaries[@]}; i += step)); do
	check_cut "${boundaries[i]}" $((seed + i + 1))
	flushes=$((flushes + 1))
done
RANDOM=$seed
for ((i = 0; i < cuts; i++)); do
	check_cut $(((RANDOM * 32768 + RANDOM) % records + 1)) $((i % 4 ? seed * 1000 + i + 1 : 0))
done
echo "powercut $fs: $records records, $flushes of ${#boundaries[@]} flush boundaries and $cuts" \
	"random cuts mounted, fsck clean, $synced synced files right (seed $seed)"
