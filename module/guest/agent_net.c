// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent_net.c - network devices: what there is, and some without a cable
 *
 * Names are those of the first network namespace. A device is found by its name
 * each time, under the RTNL: no pointer is kept but to those made here.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "agent.h"

#define MAX_DEVS	64
#define SET_UP		1U
#define SET_CARRIER	2U
#define SET_MTU		4U
#define ATTR_OURS	1U

/**
 * struct agent_net - private part of a device made here
 * @node: in devs
 * @dev: it
 * @chan: whose it is
 */
struct agent_net {
	struct list_head node;
	struct net_device *dev;
	struct agent_chan *chan;
};

/* Protected by the RTNL. */
static LIST_HEAD(devs);

static netdev_tx_t drop(struct sk_buff *skb, struct net_device *dev)
{
	dev_lstats_add(dev, skb->len);
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static void stats_of(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	dev_lstats_read(dev, &stats->tx_packets, &stats->tx_bytes);
}

static int dev_init(struct net_device *dev)
{
	dev->lstats = netdev_alloc_pcpu_stats(struct pcpu_lstats);
	return dev->lstats ? 0 : -ENOMEM;
}

static void dev_uninit(struct net_device *dev)
{
	free_percpu(dev->lstats);
}

static const struct net_device_ops net_ops = {
	.ndo_init = dev_init,
	.ndo_uninit = dev_uninit,
	.ndo_start_xmit = drop,
	.ndo_get_stats64 = stats_of,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

static void setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &net_ops;
	dev->needs_free_netdev = true;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU;
}

static bool is_ours(const struct net_device *dev)
{
	return dev->netdev_ops == &net_ops;
}

/* The payload's one name, after @skip bytes. */
static const char *name_in(const struct agent_cmd *cmd, size_t skip)
{
	const char *name = cmd->in + skip;

	if (strlen(name) + 1 != cmd->req.in_len - skip || !dev_valid_name(name) ||
	    strchr(name, '%'))
		return NULL;
	return name;
}

/* Under the RTNL. */
static void fill(struct net_device *dev, struct portal_cmd_net *rec)
{
	struct rtnl_link_stats64 stats;

	dev_get_stats(dev, &stats);
	*rec = (struct portal_cmd_net) {
		.ifindex = dev->ifindex,
		.flags = dev_get_flags(dev),
		.mtu = dev->mtu,
		.type = dev->type,
		.operstate = dev->operstate,
		.attr = is_ours(dev) ? ATTR_OURS : 0,
		.rx_packets = stats.rx_packets,
		.tx_packets = stats.tx_packets,
		.rx_bytes = stats.rx_bytes,
		.tx_bytes = stats.tx_bytes,
		.tx_dropped = stats.tx_dropped,
	};
	if (dev->addr_len <= sizeof(rec->mac))
		memcpy(rec->mac, dev->dev_addr, dev->addr_len);
	strscpy(rec->name, dev->name, sizeof(rec->name));
}

int agent_op_net_list(struct agent_cmd *cmd)
{
	struct portal_cmd_net rec;
	struct net_device *dev;
	u64 next = cmd->req.addr;
	int ret;

	/* Numbers may have any order in the list, so each round finds the next. */
	ret = rtnl_lock_killable();
	if (ret)
		return ret;
	for (;;) {
		struct net_device *best = NULL;

		for_each_netdev(&init_net, dev)
			if (dev->ifindex >= next && (!best || dev->ifindex < best->ifindex))
				best = dev;
		if (!best || agent_cancelled(cmd))
			break;
		if (agent_room(cmd) < sizeof(rec)) {
			cmd->done.flags |= PORTAL_DONE_F_MORE;
			break;
		}
		fill(best, &rec);
		agent_put(cmd, &rec, sizeof(rec));
		cmd->done.count++;
		next = (u64)best->ifindex + 1;
	}
	rtnl_unlock();
	cmd->done.cursor = next;
	if (agent_cancelled(cmd))
		return -ECANCELED;
	/* Not one fits: to go on at the cursor would be for ever. */
	return cmd->done.count || !(cmd->done.flags & PORTAL_DONE_F_MORE) ? 0 : -EMSGSIZE;
}

int agent_op_net_info(struct agent_cmd *cmd)
{
	const char *name = name_in(cmd, 0);
	struct portal_cmd_net rec;
	struct net_device *dev;
	int ret;

	if (!name)
		return -EINVAL;
	ret = rtnl_lock_killable();
	if (ret)
		return ret;
	dev = __dev_get_by_name(&init_net, name);
	if (dev)
		fill(dev, &rec);
	rtnl_unlock();
	return dev ? agent_put(cmd, &rec, sizeof(rec)) : -ENODEV;
}

/* Under the RTNL. */
static unsigned int count_of(const struct agent_chan *chan)
{
	struct agent_net *an;
	unsigned int count = 0;

	list_for_each_entry(an, &devs, node)
		count += an->chan == chan;
	return count;
}

/* Under the RTNL. */
static int add(struct agent_cmd *cmd, struct net_device *dev, const u8 *mac, u32 mtu)
{
	struct agent_net *an = netdev_priv(dev);
	int ret;

	if (count_of(cmd->chan) >= MAX_DEVS)
		return -EMFILE;
	if (is_zero_ether_addr(mac))
		eth_hw_addr_random(dev);
	else
		eth_hw_addr_set(dev, mac);
	if (mtu)
		dev->mtu = mtu;
	an->dev = dev;
	an->chan = cmd->chan;
	ret = register_netdevice(dev);
	if (ret)
		return ret;
	list_add_tail(&an->node, &devs);
	cmd->done.value = dev->ifindex;
	return 0;
}

int agent_op_net_add(struct agent_cmd *cmd)
{
	const struct portal_cmd_net_add *in = (void *)cmd->in;
	const char *name = name_in(cmd, sizeof(*in));
	const u8 *mac = (const u8 *)in->mac;
	struct net_device *dev;
	int ret;

	if (!name || in->pad || mac[6] || mac[7] ||
	    (in->mtu && (in->mtu < ETH_MIN_MTU || in->mtu > ETH_MAX_MTU)))
		return -EINVAL;
	if (!is_zero_ether_addr(mac) && !is_valid_ether_addr(mac))
		return -EADDRNOTAVAIL;
	dev = alloc_netdev(sizeof(struct agent_net), name, NET_NAME_USER, setup);
	if (!dev)
		return -ENOMEM;
	ret = rtnl_lock_killable();
	if (!ret) {
		ret = add(cmd, dev, mac, in->mtu);
		rtnl_unlock();
	}
	if (ret)
		free_netdev(dev);
	return ret;
}

/* Under the RTNL. */
static int set(struct net_device *dev, const struct portal_cmd_net_set *in)
{
	unsigned int flags = dev->flags & ~IFF_UP;
	int ret = 0;

	if (in->mask & SET_CARRIER) {
		if (!is_ours(dev))
			return -EOPNOTSUPP;
		if (in->carrier)
			netif_carrier_on(dev);
		else
			netif_carrier_off(dev);
	}
	if (in->mask & SET_MTU)
		ret = dev_set_mtu(dev, in->mtu);
	if (!ret && in->mask & SET_UP)
		ret = dev_change_flags(dev, flags | (in->up ? IFF_UP : 0), NULL);
	return ret;
}

int agent_op_net_set(struct agent_cmd *cmd)
{
	const struct portal_cmd_net_set *in = (void *)cmd->in;
	const char *name = name_in(cmd, sizeof(*in));
	struct net_device *dev;
	int ret;

	if (!name || !in->mask || in->mask & ~(SET_UP | SET_CARRIER | SET_MTU) ||
	    in->up > 1 || in->carrier > 1 || in->mtu > INT_MAX)
		return -EINVAL;
	ret = rtnl_lock_killable();
	if (ret)
		return ret;
	dev = __dev_get_by_name(&init_net, name);
	ret = dev ? set(dev, in) : -ENODEV;
	rtnl_unlock();
	return ret;
}

/* Under the RTNL; what unlocks it waits for the last reference. */
static void del(struct agent_net *an)
{
	list_del(&an->node);
	unregister_netdevice(an->dev);
}

int agent_op_net_del(struct agent_cmd *cmd)
{
	const char *name = name_in(cmd, 0);
	struct agent_net *an;
	int ret;

	if (!name)
		return -EINVAL;
	ret = rtnl_lock_killable();
	if (ret)
		return ret;
	ret = -ENODEV;
	list_for_each_entry(an, &devs, node) {
		if (an->chan == cmd->chan && !strcmp(an->dev->name, name)) {
			del(an);
			ret = 0;
			break;
		}
	}
	rtnl_unlock();
	return ret;
}

/**
 * agent_net_del_all() - end all devices of a channel
 * @chan: it has no commands any more
 *
 * Context: Process context, may sleep.
 */
void agent_net_del_all(struct agent_chan *chan)
{
	struct agent_net *an, *next;

	rtnl_lock();
	list_for_each_entry_safe(an, next, &devs, node) {
		if (an->chan == chan)
			del(an);
	}
	rtnl_unlock();
}
