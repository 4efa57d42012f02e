#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A Ceph cluster of one node for the tests: a monitor and an OSD (bluestore on a
# sparse file), on loopback, in DIR and nowhere else. usage: rbd_cluster.sh DIR
#
# Prints "ready" when it serves; then reads commands, a line each, and answers
# each with "ok" or "failed":
#	osd-kill, osd-start	SIGKILL, and another one that is up
#	osd-stop, osd-cont	SIGSTOP, SIGCONT
#	mon-stop, mon-cont
#	mgr-start		which counts what pools hold; not waited for
#	pool-full POOL		waits until its quota is used up
#	header-rm POOL/IMAGE	the image is no more, whoever uses it
#	ceph|rbd ARGUMENTS...	~ is a blank
# At the end of its input all of it is killed and DIR removed: so it never
# outlives the test that has started it. DIR/ceph.conf is for clients.
set -u
dir=${1:?usage: rbd_cluster.sh DIR}
conf=$dir/ceph.conf
declare -A pids=()

end()
{
	trap "" TERM INT HUP PIPE
	{
		kill -9 "${pids[@]}"
		wait
	} 2>/dev/null
	rm -rf "$dir"
	exit "${1:-1}"
}
trap end TERM INT HUP PIPE

say_why()
{
	echo "rbd_cluster: $1; the end of its log:" >&2
	tail -n 5 "$dir"/*.log "$dir"/*.out >&2
	end
}

write_conf()
{
	cat >"$conf" <<-CONF
	[global]
	fsid = $(cat /proc/sys/kernel/random/uuid)
	mon host = [v2:127.0.0.1:$1]
	public addr = 127.0.0.1
	cluster addr = 127.0.0.1
	ms bind msgr1 = false
	ms bind port min = $(($1 + 1))
	ms bind port max = $(($1 + 40))
	run dir = $dir
	crash dir = $dir
	admin socket = $dir/\$name.asok
	log file = $dir/\$name.log
	log max recent = 100
	osd pool default size = 1
	osd pool default min size = 1
	osd pool default pg num = 8
	osd pool default pg autoscale mode = off
	osd crush chooseleaf type = 0
	mon allow pool size one = true
	mon allow pool delete = true
	mon warn on pool no redundancy = false
	mon data avail crit = 1
	mon osd min down reporters = 1
	osd objectstore = bluestore
	osd data = $dir/osd
	mon data = $dir/mon
	mgr data = $dir/mgr
	bluestore block size = 4294967296
	bluestore block create = true
	bluestore block preallocate file = false
	bluestore fsck on mount = false
	bluestore cache size = 67108864
	bluestore cache autotune = false
	osd op num shards = 1
	osd op num threads per shard = 2
	osd class load list = *
	osd class default list = *
	mgr stats period = 1
	mgr tick period = 1
	mon tick interval = 1
	mon mgr digest period = 1
	paxos propose interval = 0.1
	mgr pool = false
	[client]
	keyring = $dir/keyring
	CONF
}

# run NAME COMMAND...: in the background, and nowhere else
run()
{
	local name=$1

	shift
	"$@" -f -c "$conf" </dev/null >"$dir/$name.out" 2>&1 &
	pids[$name]=$!
}

# until_ready SECONDS COMMAND...
until_ready()
{
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return
		sleep 0.1
	done
}

ceph_cli()
{
	timeout 60 ceph -c "$conf" --connect-timeout 10 "$@"
}

# shellcheck disable=SC2317  # until_ready runs it
osd_is_up()
{
	ceph-conf -c "$conf" -n osd.0 --lookup admin_socket >/dev/null &&
		timeout 10 ceph --admin-daemon "$dir/osd.0.asok" status | grep -q '"state": "active"'
}

start_mon()
{
	local port try

	{
		ceph-authtool --create-keyring "$dir/keyring" --gen-key -n client.admin \
			--cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' &&
			ceph-authtool "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
	} >"$dir/mon.out" 2>&1 || return
	for try in 1 2 3 4 5; do
		port=$((20000 + (RANDOM + try) % 10000))
		rm -rf "$dir/mon" "$dir/monmap"
		write_conf "$port"
		monmaptool --create --fsid "$(ceph-conf -c "$conf" --lookup fsid)" --addv a \
			"[v2:127.0.0.1:$port]" "$dir/monmap" >/dev/null || return
		ceph-mon -i a -c "$conf" --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring" \
			>"$dir/mon.out" 2>&1 || return
		run mon ceph-mon -i a
		until_ready 20 ceph_cli status && return
		kill -9 "${pids[mon]}" 2>/dev/null	# the port was somebody's, perhaps
	done
	return 1
}

start_osd()
{
	run osd ceph-osd -i 0
	until_ready 60 osd_is_up
}

make_osd()
{
	local uuid

	uuid=$(cat /proc/sys/kernel/random/uuid)
	mkdir "$dir/osd" "$dir/mgr"
	[ "$(ceph_cli osd new "$uuid")" = 0 ] || return
	ceph_cli auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' \
		>"$dir/osd/keyring" || return
	ceph-osd -i 0 -c "$conf" --mkfs --osd-uuid "$uuid" --keyring "$dir/osd/keyring" \
		>"$dir/osd.out" 2>&1
}

# shellcheck disable=SC2317  # as obey()
start_mgr()
{
	ceph_cli auth get-or-create mgr.x mon 'allow profile mgr' osd 'allow *' \
		>"$dir/mgr/keyring" || return
	run mgr ceph-mgr -i x
}

# shellcheck disable=SC2317  # it does not see that end() is not always called
obey()
{
	case $1 in
	osd-kill)
		kill -9 "${pids[osd]}"
		wait "${pids[osd]}"
		true
		;;
	osd-start) start_osd ;;
	osd-stop) kill -STOP "${pids[osd]}" ;;
	osd-cont) kill -CONT "${pids[osd]}" ;;
	mon-stop) kill -STOP "${pids[mon]}" ;;
	mon-cont) kill -CONT "${pids[mon]}" ;;
	mgr-start) start_mgr ;;
	ceph) ceph_cli "${@:2}" ;;
	header-rm)
		id=$(rbd -c "$conf" info "$2" | sed -n 's/.*\tid: //p')
		rados -c "$conf" -p "${2%/*}" rm "rbd_header.$id"
		;;
	pool-full)
		until_ready 60 sh -c "ceph -c '$conf' osd pool ls detail | grep \"^pool.*'$2'.*full\""
		;;
	rbd) timeout 60 rbd -c "$conf" "${@:2}" ;;
	*) false ;;
	esac </dev/null >"$dir/command.out" 2>&1
}

mkdir -p "$dir"
start_mon || say_why "the monitor does not serve"
make_osd || say_why "the OSD cannot be made"
start_osd || say_why "the OSD does not come up"
echo ready
while read -r -a words; do
	if obey "${words[@]//\~/ }"; then
		echo ok
	else
		echo failed
	fi
done
end 0
