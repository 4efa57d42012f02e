# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # e2e.sh and world.sh set them; "within"
#
# Backends, as an administrator adds them to a running guest.

# backend NAME KEY=VALUE...: the guest has it as its disk E2E-NAME
backend()
{
	local name=$1

	shift
	need_driver
	if ctl list | grep -q " $name "; then
		ctl disk remove --force e2e "$name"
	fi
	ctl disk add e2e "$name" serial="E2E-$name" "$@"
	within 60 in_guest 30 e2e-guest dev "E2E-$name"
}

# writes_and_reads NAME: a random MiB, past the guest's cache
writes_and_reads()
{
	local dev

	dev=$(in_guest 30 e2e-guest dev "E2E-$1")
	in_guest 60 "dd if=/dev/urandom of=/tmp/pattern bs=64k count=16 2>/dev/null &&
		dd if=/tmp/pattern of=$dev bs=64k conv=fsync 2>/dev/null &&
		echo 3 >/proc/sys/vm/drop_caches &&
		dd if=$dev bs=64k count=16 2>/dev/null | cmp - /tmp/pattern"
}

first_mib()
{
	head -c 1M "$1" | sha256sum
}

pattern()
{
	in_guest 60 'sha256sum </tmp/pattern'
}

backend_memory()
{
	backend mem plugin=memory size=8M
	writes_and_reads mem
	ctl disk remove e2e mem
}

# The image below stays as it is, until somebody commits.
backend_overlay()
{
	local before

	rm -f "$work/golden.img" "$work/top.cow"
	truncate -s 8M "$work/golden.img"
	printf 'golden' | dd of="$work/golden.img" bs=1 seek=2M conv=notrunc 2>/dev/null
	before=$(sha256sum <"$work/golden.img")
	backend top plugin=overlay path="$work/top.cow" lower=file lower.path="$work/golden.img" \
		lower.readonly=on
	writes_and_reads top
	says '^golden$' in_guest 30 "dd if=$(in_guest 30 e2e-guest dev E2E-top) bs=1M skip=2 count=1 \
		2>/dev/null | head -c 6"
	ctl disk remove e2e top
	equal "the image below" "$(sha256sum <"$work/golden.img")" "$before"
	"$build/daemon/portal-overlay" commit "$work/top.cow" "$work/golden.img"
	equal "what was committed" "$(first_mib "$work/golden.img")" "$(pattern)"
}

# What is promised to fail fails in the guest, and nothing else.
backend_fault()
{
	local dev

	backend bad plugin=fault lower=memory lower.size=8M fault=op=write,range=4M-5M,error=EIO
	writes_and_reads bad
	dev=$(in_guest 30 e2e-guest dev E2E-bad)
	refuses 'Input/output error|I/O error' in_guest 60 \
		"dd if=/tmp/pattern of=$dev bs=64k seek=64 count=1 conv=fsync 2>&1"
	in_guest 60 "dd if=$dev of=/dev/null bs=64k skip=64 count=1 iflag=direct"
	at_least "errors" "$(inst_stat bad .device.errors)" 1
	ctl disk remove e2e bad
}

serve_nbd()
{
	rm -f "$work/nbd.sock"
	background nbdkit -f -U "$work/nbd.sock" file "$work/nbd.img"
	listens() { [ -S "$work/nbd.sock" ]; }
	within 20 listens
}

# The server dies in the middle of the guest's writes, and is back after a while.
backend_nbd()
{
	local dev

	command -v nbdkit >/dev/null || skip "no nbdkit"
	chmod 755 "$work"
	rm -f "$work/nbd.img"
	truncate -s 8M "$work/nbd.img"
	serve_nbd
	backend nbd plugin=nbd sandbox=network uri="nbd+unix:///?socket=$work/nbd.sock"
	writes_and_reads nbd
	equal "on the server" "$(first_mib "$work/nbd.img")" "$(pattern)"
	dev=$(in_guest 30 e2e-guest dev E2E-nbd)
	guest_start copy "{ for i in 0 1 2 3 4 5 6 7; do
		dd if=/tmp/pattern of=$dev bs=64k seek=\$((i * 16)) conv=notrunc,fsync || exit 1
		echo \$i >>/tmp/copy.steps
	done; }"
	within 60 in_guest 30 '[ -s /tmp/copy.steps ]'
	end_background
	serve_nbd
	guest_result copy 120
	equal "the last MiB on the server" "$(tail -c 1M "$work/nbd.img" | sha256sum)" "$(pattern)"
	ctl disk remove e2e nbd
	in_guest 30 'rm -f /tmp/copy.steps'
}

# More than the guest has interrupt pins: some share one, and none waits for good.
backend_many()
{
	local i nr=12

	need_driver
	for ((i = 0; i < nr; i++)); do
		ctl disk add e2e "m$i" serial="E2E-m$i" plugin=memory size=2M
	done
	# one a line, which the files themselves are not
	all_there() { [ "$(in_guest 30 'grep -H "" /sys/block/vd*/serial | grep -c :E2E-m')" = "$nr" ]; }
	within 120 all_there
	at_least "handlers of a shared pin" \
		"$(in_guest 30 'grep -E "IO-APIC.*,.*virtio|portal-guest.*,.*virtio" /proc/interrupts | wc -l')" 1
	# shellcheck disable=SC2016 # of the guest
	guest_start many '{ for s in /sys/block/vd*; do
		case $(cat $s/serial) in E2E-m*) ;; *) continue ;; esac
		(for i in 1 2 3 4 5 6 7 8; do
			dd if=/dev/zero of=/dev/${s##*/} bs=4k count=64 conv=fsync || exit 1
			dd if=/dev/${s##*/} of=/dev/null bs=4k count=64 iflag=direct || exit 1
		done; echo done >>/tmp/many.done) &
	done 2>/dev/null; wait; wc -l </tmp/many.done; rm /tmp/many.done; }'
	says "^$nr\$" guest_result many 240
	for ((i = 0; i < nr; i++)); do
		ctl disk remove e2e "m$i"
	done
	in_guest 60 e2e-guest disks 10
}

test_case "backend: memory" backend_memory
test_case "backend: overlay, and commit" backend_overlay
test_case "backend: fault, an error for the guest" backend_fault
test_case "backend: nbd, its server killed and back" backend_nbd
test_case "backend: more disks than interrupt pins" backend_many
