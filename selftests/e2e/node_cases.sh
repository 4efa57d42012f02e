# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # e2e.sh and world.sh set them; "within"
#
# Files of /proc and /dev in the guest that a program of the host serves.

need_server()
{
	need_agent mem,node
	in_guest 30 'dmesg -c >/dev/null'
	rm -f "$work/server" "$work/server.rc"
	background sh -c "'$build/e2e/node_ops' '$socket' e2e >'$work/server' 2>&1 &
		echo \$! >'$work/server.pid'; wait \$!; echo \$? >'$work/server.rc'"
	serving() { grep -qx serving "$work/server"; }
	until_true 60 serving || fail "node_ops says $(cat "$work/server")"
}

no_files()
{
	in_guest 30 '[ ! -e /proc/e2e-node ] && [ ! -e /proc/e2e-many ] && [ ! -e /dev/e2e/node ]'
}

kill_server()
{
	kill -9 "$(cat "$work/server.pid")"
}

node_complaints()
{
	equal "complaints in the guest" \
		"$(in_guest 30 'dmesg | grep -cE "BUG|WARNING|Oops|RIP:|UBSAN|KASAN" || true')" 0
}

node_off()
{
	need_agent task,mem
	refuses 'status -1,' timeout 30 "$build/e2e/node_ops" "$socket" e2e
	no_files
}

# As the guest's own programs use files.
node_shell()
{
	need_server
	in_guest 30 'echo hello >/proc/e2e-node/text'
	equal "what it says" "$(in_guest 30 'cat /proc/e2e-node/text')" hello
	equal "its mode" "$(in_guest 30 'stat -c %a /proc/e2e-node/text /dev/e2e/node | tr "\n" " "')" '640 660 '
	# shellcheck disable=SC2016 # of the guest
	equal "in /sys" "$(in_guest 30 'cat /sys/class/misc/e2e!node/dev')" \
		"$(in_guest 30 'printf "%d:%d" $(stat -c "0x%t 0x%T" /dev/e2e/node)')"
	equal "a line of the device" "$(in_guest 30 'head -n 1 /dev/e2e/node')" message
	refuses 'timed out' in_guest 30 'cat /proc/e2e-node/mute'
	refuses 'Illegal byte|Invalid or incomplete' in_guest 30 'echo bad >/proc/e2e-node/text'
	refuses 'exists' in_guest 30 'mkdir /proc/e2e-node'
	in_guest 30 'printf again >/dev/e2e/node'
	says '^[0-9]+ checks passed' in_guest 60 e2e-node
	equal "what it says now" "$(in_guest 30 'cat /proc/e2e-node/text')" last
	[ ! -s "$work/server.rc" ] || fail "node_ops says $(cat "$work/server")"
	kill_server
	within 30 no_files
	node_complaints
}

node_server_killed()
{
	need_server
	guest_start holder 'e2e-node hold'
	within 30 guest_said holder '^open$'
	waits() { [ "$(in_guest 30 'ps | grep -c "[e]2e-node hold$"')" = 2 ]; }
	within 30 waits
	kill_server
	says '^[0-9]+ checks passed' guest_result holder 30
	within 30 no_files
	# and the next one has them again
	need_server
	kill_server
	within 30 no_files
	node_complaints
}

node_worker_killed()
{
	need_server
	guest_start holder 'e2e-node hold'
	within 30 guest_said holder '^open$'
	kill -9 "$(inst_stat agent .pid)"
	says '^[0-9]+ checks passed' guest_result holder 60
	within 30 no_files
	ended() { grep -qx 1 "$work/server.rc"; }
	within 30 ended
	within 30 inst_is agent .guest enabled
	node_complaints
}

# A file of /dev that is open keeps the module, as everywhere; its files of /proc do not.
node_unload()
{
	need_server
	guest_start holder 'e2e-node hold'
	within 30 guest_said holder '^open$'
	in_guest 60 e2e-guest unmount
	distrust
	refuses 'busy|temporarily|in use' in_guest 60 'rmmod portal_guest'
	in_guest 30 'killall -9 e2e-node'
	guest_start reader 'cat /proc/e2e-node/hang'
	reads() { in_guest 30 'ps | grep "[c]at /proc/e2e-node/hang$"'; }
	within 30 reads
	unloads() { in_guest 60 'rmmod portal_guest'; }
	within 30 unloads
	not guest_result reader 30
	no_files
	ended() { grep -qx 1 "$work/server.rc"; }
	within 30 ended
	node_complaints
}

test_case "node: not unless the guest's owner allows it" node_off
test_case "node: files of /proc and /dev that the host serves" node_shell
test_case "node: kill -9 of who serves them" node_server_killed
test_case "node: kill -9 of the worker" node_worker_killed
test_case "node: rmmod" node_unload
