# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# libportal/examples: hypercall 0x1234 of a running, unmodified QEMU.

# hypercall_1234 ARGUMENT: by a module in the guest, as user space may not
hypercall_1234()
{
	in_guest 60 "modprobe e2e_hc nr=0x1234 arg=$1 &&
		cat /sys/module/e2e_hc/parameters/result && rmmod e2e_hc"
}

# example PROGRAM ARGUMENT...: beside portald
example()
{
	need_driver
	equal "0x1234 without a hook" "$(hypercall_1234 42)" -1000
	background "$@"
	answered() { [ "$(hypercall_1234 42)" = 42 ]; }
	within 30 answered
	equal "0x1234 of 4711" "$(hypercall_1234 4711)" 4711
	says '^46$' in_guest 30 portal-call echo 0 46
	kill -9 "$(tail -n 1 "$work/background")"
	unhooked() { [ "$(hypercall_1234 42)" = -1000 ]; }
	within 30 unhooked
}

example_kernel()
{
	local fd

	need_guest
	for fd in /proc/"$(qemu_pid)"/fd/*; do
		[ "$(readlink "$fd")" != anon_inode:kvm-vm ] || break
	done
	example "$build/e2e/example-hypercall" "$(qemu_pid)" "${fd##*/}"
}

example_library()
{
	need_guest
	example "$build/e2e/example-echo" "$(qemu_pid)"
}

test_case "example: hypercall.c, without the library" example_kernel
test_case "example: echo.c, by the library" example_library
