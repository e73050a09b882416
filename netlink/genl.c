/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the nbd family: drivers/block/nbd.c, nbd_genl_connect() and friends. */
#include <errno.h>
#include <linux/nbd-netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-internal.h"

static void cleanup_genl(struct genl *genl)
{
	genl_close(genl);
}

static void cleanup_message(struct nl_msg **msg)
{
	nlmsg_free(*msg);
}

#define CLEANUP_GENL __attribute__((cleanup(cleanup_genl)))
#define CLEANUP_MESSAGE __attribute__((cleanup(cleanup_message)))

static bool device_exists(int index)
{
	struct nbdt_device_info info;

	return nbdt_device_get(index, &info, NULL) == 0;
}

static int on_index(const struct nlmsghdr *header, void *arg)
{
	return genl_get_index(header, arg);
}

/* One CONNECT. The kernel's bare error comes back. */
static int connect_once(struct genl *genl, const struct nbdt_kernel_config *config, int *index)
{
	CLEANUP_MESSAGE struct nl_msg *msg =
		genl_request(genl, NBD_CMD_CONNECT, genl_connect_size(config));

	if (!msg)
		return -ENOMEM;
	int result = genl_put_connect(msg, config);
	return result < 0 ? result : genl_exchange(genl, msg, on_index, index);
}

static int refuse_connect(const struct genl *genl, const struct nbdt_kernel_config *config, int code,
	struct nbdt_error *err)
{
	if (code != -EINVAL || genl->words[0])
		return genl_error(genl, err, code, "connecting an NBD device");
	if (config->index == NBDT_INDEX_ANY)
		return nbdt_error_set(err, code, "the kernel refuses block size %u or a connection",
			config->block_size);
	return nbdt_error_set(err, code,
		"nbd%d: the kernel refuses the device number, block size %u or a connection, or the "
		"device is just being removed", config->index, config->block_size);
}

int nbdt_kernel_connect(const struct nbdt_kernel_config *config, int *index, struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	struct kernel_backoff backoff = { 0 };
	int result = kernel_check_config(config, err);

	if (result == 0)
		result = nbdt_kernel_load_module(err);
	if (result == 0)
		result = genl_open(&genl, true, err);
	if (result < 0)
		return result;
	/* The kernel reads the descriptors in, and remembers the process id of, whoever sends this. */
	genl.isolated = false;
	for (;;) {
		result = connect_once(&genl, config, index);
		/* EEXIST: another CONNECT created the device between the kernel's look and its own creation. */
		if (result != -EBUSY && result != -EEXIST)
			break;
		if (config->index == NBDT_INDEX_ANY && backoff.waited >= KERNEL_BUSY_MS)
			break;
		int busy = kernel_wait_busy(config->index, &backoff, err);
		if (busy < 0)
			return busy;
	}
	return result < 0 ? refuse_connect(&genl, config, result, err) : 0;
}

int nbdt_kernel_disconnect(int index, struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	int result = genl_open(&genl, true, err);

	if (result < 0)
		return result;
	CLEANUP_MESSAGE struct nl_msg *msg = genl_request(&genl, NBD_CMD_DISCONNECT, 64);
	if (!msg || genl_put_index(msg, index) < 0)
		return nbdt_error_errno(err, -ENOMEM, "nbd%d", index);
	result = genl_exchange(&genl, msg, NULL, NULL);
	if (result == -EINVAL && !device_exists(index))
		return nbdt_error_set(err, -ENODEV, "nbd%d: no such device", index);
	/* EINVAL besides that: the device is going away, or has gone, by DESTROY_ON_DISCONNECT. */
	if (result == -ETIMEDOUT)
		return nbdt_error_set(err, result, "nbd%d: the disconnect is stuck: the server does not "
			"read, and no timeout is set; it goes on in the background", index);
	return result < 0 ? genl_error(&genl, err, result, "disconnecting nbd%d", index) : 0;
}

static int change_once(struct genl *genl, int index, const struct nbdt_kernel_change *change)
{
	CLEANUP_MESSAGE struct nl_msg *msg =
		genl_request(genl, NBD_CMD_RECONFIGURE, genl_change_size(change));

	if (!msg)
		return -ENOMEM;
	int result = genl_put_change(msg, index, change);
	return result < 0 ? result : genl_exchange(genl, msg, NULL, NULL);
}

/* What a bare EINVAL of RECONFIGURE means. */
static int refuse_change(struct genl *genl, int index, const struct nbdt_kernel_change *change,
	struct nbdt_error *err)
{
	const struct nbdt_kernel_change probe = { .identifier = change->identifier };
	struct nbdt_device_info info;

	if (nbdt_device_get(index, &info, NULL) < 0)
		return nbdt_error_set(err, -ENODEV, "nbd%d: no such device", index);
	if (info.pid == 0)
		return nbdt_error_set(err, -ENOTCONN, "nbd%d: not connected", index);
	/* The identifier alone changes nothing, and succeeds on a device that is up. */
	if (change_once(genl, index, &probe) == 0)
		return nbdt_error_set(err, -EINVAL, "nbd%d: the kernel refuses the new values or connections",
			index);
	if (info.backend[0] && strcmp(info.backend, change->identifier ? change->identifier : ""))
		return nbdt_error_set(err, -EINVAL,
			"nbd%d: connected by somebody else, under the identifier \"%.200s\"", index,
			info.backend);
	return nbdt_error_set(err, -ENOTCONN, "nbd%d: disconnected though still in use, or attached by "
		"ioctls, which leaves nothing to change", index);
}

int nbdt_kernel_reconfigure(
	int index, const struct nbdt_kernel_change *change, struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	int result = kernel_check_change(change, err);

	/* Not isolated: a process that serves the device may call this, and a fork costs it page faults. */
	if (result == 0)
		result = genl_open(&genl, false, err);
	if (result < 0)
		return result;
	result = change_once(&genl, index, change);
	if (result == -EINVAL && !genl.words[0])
		return refuse_change(&genl, index, change, err);
	return result < 0 ? genl_error(&genl, err, result, "changing nbd%d", index) : 0;
}

struct status_list {
	struct nbdt_kernel_status *list;
	size_t count;
};

static int on_status(const struct nlmsghdr *header, void *arg)
{
	struct status_list *status = arg;

	return genl_get_devices(header, &status->list, &status->count);
}

int nbdt_kernel_get_status(
	int index, struct nbdt_kernel_status **list, size_t *count, struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	struct status_list status = { .list = NULL };
	int result = genl_open(&genl, true, err);

	if (result < 0)
		return result;
	CLEANUP_MESSAGE struct nl_msg *msg = genl_request(&genl, NBD_CMD_STATUS, 64);
	if (!msg || (index != NBDT_INDEX_ANY && genl_put_index(msg, index) < 0))
		return nbdt_error_errno(err, -ENOMEM, "status of NBD devices");
	result = genl_exchange(&genl, msg, on_status, &status);
	if (result < 0)
		result = genl_error(&genl, err, result, "status of NBD devices");
	else if (status.count == 0 && index != NBDT_INDEX_ANY)
		result = nbdt_error_set(err, -ENODEV, "nbd%d: no such device", index);
	if (result < 0) {
		free(status.list);
		return result;
	}
	*list = status.list;
	*count = status.count;
	return 0;
}

bool nbdt_kernel_has_netlink(void)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };

	return genl_open(&genl, true, NULL) == 0;
}
