#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Unpacks what the selftests need of Debian's linux-source package into DIR:
# the kselftest harness and lib.mk, LIBKVM, and the headers those include.
# Does nothing, and needs no network, when it is there.
# usage: fetch.sh DIR
set -eu

[ $# -eq 1 ] || { echo "usage: fetch.sh DIR" >&2; exit 2; }
name=linux-source-6.1
dir=$1
tarball=/usr/src/$name.tar.xz

mkdir -p "$(dirname "$dir")"
dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir")
exec 9>"$dir.lock"
flock 9
[ -e "$dir/.fetched" ] && exit 0

work=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ ! -e "$tarball" ]; then
	echo "fetching $name" >&2
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root \
		download "$name" >&2)
	tarball=$work/$name.tar.xz
	dpkg --fsys-tarfile "$work/$name"_*.deb |
		tar -xO "./usr/src/$name.tar.xz" >"$tarball"
fi

mkdir "$work/src"
(
	cd "$work/src"
	set -- include lib/rbtree.c arch/x86/include
	for path in lib.mk kselftest.h kselftest_harness.h kselftest rseq \
		kvm/include kvm/lib; do
		set -- "$@" "testing/selftests/$path"
	done
	for path; do
		echo "$name/tools/$path"
	done | tar -xJf "$tarball" --strip-components=1 -T -
)
touch "$work/src/.fetched"
rm -rf "$dir"
mv "$work/src" "$dir"
