# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# Other machines than QEMU's pc with private memory, and a VM that is saved. The
# guest of each is a new one, with the same disks.

# other_machine MACHINE [QEMU-OPTION...]: runs and is attached as e2e
other_machine()
{
	local machine=$1

	shift
	need_module
	need_portald
	need_no_guest
	PORTAL_GUEST_MACHINE=$machine $guest start -action reboot=reset "$@"
	ctl attach --pid "$(qemu_pid)" --name e2e --instances $instances
}

# need_no_guest: nobody has the disks
need_no_guest()
{
	local pid

	distrust
	pid=$(qemu_pid)
	[ -z "$pid" ] || $guest stop
	gone() { ! attached; }
	within 20 gone
}

# works: calls, registers, an interrupt, and the disk's files
works()
{
	need_driver
	says '^424242$' in_guest 30 portal-call echo 0 424242
	says '^0x5afe$' in_guest 30 'portal-call --reg echo 0x10 4 0x5afe; portal-call -x --reg echo 0x10 4'
	guest_start event 'e2e-events hello 1 60'
	within 30 guest_said event ready
	says queued ctl interrupt e2e hello
	says '^1 1 0$' guest_result event 30
	in_guest 60 e2e-guest mount
	says '^[0-9]+$' in_guest 120 e2e-guest verify
	in_guest 60 e2e-guest unmount
}

# backed by a file, so windows are mappings of that file
q35_memfd()
{
	other_machine q35,memory-backend=ram \
		-object memory-backend-memfd,id=ram,size=512M,share=on
	works
}

# The interrupt controllers are QEMU's, only the local APICs are KVM's.
q35_split()
{
	other_machine q35,kernel-irqchip=split
	works
}

# no PCI, no firmware to speak of
microvm()
{
	other_machine microvm
	works
}

# migrate_to FILE: all of the VM is in it, and QEMU has stopped
migrate_to()
{
	"$guest_run" --qmp $guest_dir/qmp --timeout 30 \
		"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"exec:cat >$1\"}}"
	migration() { qmp query-migrate | jq -r '.. | .status? // empty' | head -n 1; }
	migrated() { [[ $(migration) =~ completed|failed ]]; }
	within 120 migrated
	equal "migration" "$(migration)" completed
}

# Saved to a file while it is attached, it goes on in the same QEMU.
saved()
{
	need_driver
	start_load
	migrate_to "$work/saved"
	equal "state of QEMU" "$(qemu_state)" postmigrate
	at_least "bytes saved" "$(stat -c %s "$work/saved")" 1000000
	rm -f "$work/saved"
	qmp cont
	more() { [ "$(in_guest 30 cat /tmp/rounds)" -gt "$1" ]; }
	within 60 more "$(in_guest 30 cat /tmp/rounds)"
	in_guest 30 'touch /tmp/enough'
	says '^[0-9]+$' guest_result load 60
}

# The other QEMU knows nothing of portal: the guest gives its devices up before,
# and gets them again from whoever attaches there.
moved()
{
	need_driver
	in_guest 60 e2e-guest unmount
	ctl detach --timeout 20 e2e
	distrust
	migrate_to "$work/moved"
	$guest stop
	$guest start --nowait -action reboot=reset -incoming "exec:cat $work/moved"
	runs() { [ "$(qemu_state)" = running ]; }
	within 120 runs
	rm -f "$work/moved"
	in_guest 60 e2e-guest alive
	ctl attach --pid "$(qemu_pid)" --name e2e --instances $instances
	in_guest 60 'rmmod portal_guest'
	works
}

test_case "machine: saved to a file while attached, goes on" saved
test_case "machine: moved to another QEMU between detach and attach" moved
test_case "machine: q35, RAM in a memfd" q35_memfd
test_case "machine: q35, interrupt controllers split" q35_split
test_case "machine: microvm" microvm
