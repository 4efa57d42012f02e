# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2086,SC2317 # e2e.sh and world.sh set them; words; "within"
#
# Mistakes in the configuration: the message names the cause, portald goes on,
# and what is right still works.

# line_of PATTERN: FILE:LINE in portald.conf
line_of()
{
	echo "$work/portald.conf:$(grep -n "$1" "$work/portald.conf" | cut -d: -f1)"
}

# bad INSTANCE PATTERN: cannot be attached, for that reason; echo still can
bad()
{
	local pid vm

	need_module
	need_portald
	background "$build/e2e/vms" 1 >"$work/fds"
	vm=$(tail -n 1 "$work/background")
	within 10 test -s "$work/fds"
	pid=$(portald_pid)
	refuses "attach failed: instance $1: $2" ctl attach --pid "$vm" --name cfg --instances "echo,$1"
	not attached_as cfg
	says 'cfg: attached, 1 instances' ctl attach --pid "$vm" --name cfg --instances echo
	ctl detach --force cfg
	equal "portald's pid" "$(portald_pid)" "$pid"
	not ended "$pid"
}

attached_as()
{
	ctl list | grep -q "^$1 "
}

unknown_key()
{
	bad bad-key "$(line_of '^greting'): unknown key 'greting'"
}

bad_value()
{
	bad bad-value "$(line_of 'perhaps'): readonly: .*"
}

missing_plugin()
{
	bad bad-plugin "plugin nosuch: $work/plugins/nosuch.so does not exist"
}

wrong_version()
{
	bad bad-version "plugin newer: built for plugin API 999, this portald has 1"
}

no_symbol()
{
	bad bad-object "plugin nosymbol: .*nosymbol.so exports no portald_plugin_init"
}

image_missing()
{
	bad bad-missing "$work/missing.img: there is no such image"
}

image_directory()
{
	bad bad-directory "$work/directory is a directory"
}

image_readonly()
{
	bad bad-rofs "$work/rofs/x.img is on a read-only filesystem; set readonly=on"
	background "$build/e2e/vms" 1 >"$work/fds2"
	within 10 test -s "$work/fds2"
	ctl attach --pid "$(tail -n 1 "$work/background")" --name cfg --instances good-rofs
	ctl detach --force cfg
}

image_locked()
{
	background "$build/e2e/lockfile" "$work/locked.img" >"$work/lock"
	within 10 test -s "$work/lock"
	bad bad-locked "$work/locked.img is in use by another process"
	end_background
	background "$build/e2e/vms" 1 >"$work/fds2"
	within 10 test -s "$work/fds2"
	ctl attach --pid "$(tail -n 1 "$work/background")" --name cfg --instances bad-locked
	ctl detach --force cfg
}

# portald's own keys: it does not start with them, and does not take them over
own_keys()
{
	local lines bad="$work/bad.conf"

	need_portald
	printf '[portald]\nsocket = %s/x\n\n[instance a]\nplugin = echo\nrestart = perhaps\n[odd]\n' \
		"$work" >"$bad"
	refuses "$bad:6: restart 'perhaps' is neither on nor off" \
		timeout 30 "$build/daemon/portald" --check-config --config "$bad"
	refuses "$bad:7: unknown section \[odd\]" \
		timeout 30 "$build/daemon/portald" --config "$bad"
	says 'instances, no mistakes' \
		timeout 30 "$build/daemon/portald" --check-config --config "$work/portald.conf"

	lines=$(log_lines)
	cp "$work/portald.conf" "$work/good.conf"
	echo 'colour = blue' >>"$work/portald.conf"
	echo '[odd]' >>"$work/portald.conf"
	kill -HUP "$(portald_pid)"
	reloaded() { log_since "$lines" | grep -q "$1"; }
	within 10 reloaded 'the configuration was not reloaded; the old one stays'
	reloaded 'unknown section \[odd\]'
	cp "$work/good.conf" "$work/portald.conf"
	kill -HUP "$(portald_pid)"
	within 10 reloaded 'configuration reloaded: 19 instances'
	says . ctl list
}

test_case "config: unknown key, with file and line" unknown_key
test_case "config: wrong value, with file and line" bad_value
test_case "config: missing plugin" missing_plugin
test_case "config: plugin of another API version" wrong_version
test_case "config: shared object that is no plugin" no_symbol
test_case "config: image missing" image_missing
test_case "config: image is a directory" image_directory
test_case "config: image on a read-only filesystem" image_readonly
test_case "config: image locked by another process" image_locked
test_case "config: portald's own keys, reload" own_keys
