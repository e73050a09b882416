/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes of the nbd family: linux/nbd-netlink.h, and nbd_attr_policy in
 * drivers/block/nbd.c.
 */
#include <errno.h>
#include <linux/nbd-netlink.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-internal.h"

/* All fixed attributes together, generously. */
#define FIXED_SIZE 256

static size_t variable_size(size_t socket_count, const char *identifier)
{
	size_t item = (size_t)nla_total_size(nla_total_size(sizeof(uint32_t)));
	size_t length = identifier ? strlen(identifier) : 0;

	return FIXED_SIZE + socket_count * item + length;
}

size_t genl_connect_size(const struct nbdt_kernel_config *config)
{
	return variable_size(config->socket_count, config->identifier);
}

size_t genl_change_size(const struct nbdt_kernel_change *change)
{
	return variable_size(change->socket_count, change->identifier);
}

static int put_sockets(struct nl_msg *msg, const int *sockets, size_t count)
{
	struct nlattr *list = nla_nest_start(msg, NBD_ATTR_SOCKETS);

	if (!list)
		return -EMSGSIZE;
	for (size_t i = 0; i < count; i++) {
		struct nlattr *item = nla_nest_start(msg, NBD_SOCK_ITEM);

		if (!item || nla_put_u32(msg, NBD_SOCK_FD, (uint32_t)sockets[i]) < 0)
			return -EMSGSIZE;
		nla_nest_end(msg, item);
	}
	nla_nest_end(msg, list);
	return 0;
}

static int put_u64(struct nl_msg *msg, int type, const uint64_t *value)
{
	return value && nla_put_u64(msg, type, *value) < 0 ? -EMSGSIZE : 0;
}

int genl_put_index(struct nl_msg *msg, int index)
{
	return nla_put_u32(msg, NBD_ATTR_INDEX, (uint32_t)index) < 0 ? -EMSGSIZE : 0;
}

int genl_put_change(struct nl_msg *msg, int index, const struct nbdt_kernel_change *change)
{
	uint64_t wide = change->block_size ? *change->block_size : 0;
	const uint64_t *block_size = change->block_size ? &wide : NULL;

	if ((index != NBDT_INDEX_ANY && genl_put_index(msg, index) < 0) ||
		put_u64(msg, NBD_ATTR_SIZE_BYTES, change->size) < 0 ||
		put_u64(msg, NBD_ATTR_BLOCK_SIZE_BYTES, block_size) < 0 ||
		put_u64(msg, NBD_ATTR_TIMEOUT, change->timeout) < 0 ||
		put_u64(msg, NBD_ATTR_DEAD_CONN_TIMEOUT, change->dead_timeout) < 0 ||
		put_u64(msg, NBD_ATTR_CLIENT_FLAGS, change->client_flags) < 0)
		return -EMSGSIZE;
	if (change->identifier &&
		nla_put_string(msg, NBD_ATTR_BACKEND_IDENTIFIER, change->identifier) < 0)
		return -EMSGSIZE;
	return change->socket_count ? put_sockets(msg, change->sockets, change->socket_count) : 0;
}

int genl_put_connect(struct nl_msg *msg, const struct nbdt_kernel_config *config)
{
	uint64_t server_flags = config->server_flags;
	/*
	 * All values are sent, zeroes too: block size and timeout have surprising defaults, and a
	 * timeout of the device's last connection would stay in force.
	 */
	const struct nbdt_kernel_change rest = {
		.size = &config->size,
		.block_size = &config->block_size,
		.timeout = &config->timeout,
		.dead_timeout = &config->dead_timeout,
		.client_flags = &config->client_flags,
		.sockets = config->sockets,
		.socket_count = config->socket_count,
		.identifier = config->identifier,
	};

	if (put_u64(msg, NBD_ATTR_SERVER_FLAGS, &server_flags) < 0)
		return -EMSGSIZE;
	return genl_put_change(msg, config->index, &rest);
}

int genl_get_index(const struct nlmsghdr *header, int *index)
{
	const struct nlattr *attribute =
		nlmsg_find_attr((struct nlmsghdr *)header, GENL_HDRLEN, NBD_ATTR_INDEX);

	if (!attribute || nla_len(attribute) < (int)sizeof(uint32_t))
		return -ENODEV;
	*index = (int)nla_get_u32(attribute);
	return 0;
}

static int add_device(const struct nlattr *item, struct nbdt_kernel_status **list, size_t *count)
{
	struct nlattr *attributes[NBD_DEVICE_ATTR_MAX + 1];

	if (nla_parse_nested(attributes, NBD_DEVICE_ATTR_MAX, (struct nlattr *)item, NULL) < 0 ||
		!attributes[NBD_DEVICE_INDEX] || !attributes[NBD_DEVICE_CONNECTED] ||
		nla_len(attributes[NBD_DEVICE_INDEX]) < (int)sizeof(uint32_t) ||
		nla_len(attributes[NBD_DEVICE_CONNECTED]) < (int)sizeof(uint8_t))
		return 0;
	struct nbdt_kernel_status *longer = reallocarray(*list, *count + 1, sizeof(**list));
	if (!longer)
		return -ENOMEM;
	longer[(*count)++] = (struct nbdt_kernel_status){
		.index = (int)nla_get_u32(attributes[NBD_DEVICE_INDEX]),
		.busy = nla_get_u8(attributes[NBD_DEVICE_CONNECTED]) != 0,
	};
	*list = longer;
	return 0;
}

int genl_get_devices(const struct nlmsghdr *header, struct nbdt_kernel_status **list, size_t *count)
{
	const struct nlattr *devices =
		nlmsg_find_attr((struct nlmsghdr *)header, GENL_HDRLEN, NBD_ATTR_DEVICE_LIST);
	const struct nlattr *item;
	int left, result = 0;

	if (!devices)
		return 0;
	nla_for_each_nested(item, devices, left) {
		if (nla_type(item) == NBD_DEVICE_ITEM)
			result = add_device(item, list, count);
		if (result < 0)
			break;
	}
	return result;
}
