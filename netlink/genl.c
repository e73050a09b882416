/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the nbd family: drivers/block/nbd.c, nbd_genl_connect() and friends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd-netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounded.h"
#include "cleanup.h"
#include "device-internal.h"
#include "ioctl-device.h"
#include "kernel-internal.h"

#define DISCONNECT_LIMIT_MS 10000 /* by ioctl; by netlink every answer has this limit */

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

	return device_read_at(DEVICE_BLOCK_ROOT, index, &info) == 0;
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

static int refuse_connect(const struct genl *genl, const struct nbdt_kernel_config *config,
	int code, struct nbdt_error *err)
{
	if (code != -EINVAL || genl->words[0])
		return genl_error(genl, err, code, "connecting an NBD device");
	if (config->index == NBDT_INDEX_ANY)
		return nbdt_error_set(err, code, "the kernel refuses block size %u or a connection",
			config->block_size);
	return nbdt_error_set(err, code,
		"nbd%d: the kernel refuses the device number, block size %u or a connection, or "
		"the device is just being removed",
		config->index, config->block_size);
}

/* EEXIST: another CONNECT made the device between the kernel's look for it and its own try. */
static bool is_busy(int result)
{
	return result == -EBUSY || result == -EEXIST;
}

static int wait_busy(int index, struct backoff *backoff, struct nbdt_error *err)
{
	if (index != NBDT_INDEX_ANY)
		return kernel_wait_busy(index, backoff, err);
	return backoff_sleep(backoff)
		       ? 0
		       : nbdt_error_set(err, -EBUSY, "no NBD device lets itself be taken");
}

int nbdt_kernel_connect(const struct nbdt_kernel_config *config, int *index, struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	struct backoff backoff = backoff_start(KERNEL_BUSY_MS);
	int busy = 0, result = kernel_check_config(config, err);

	if (result == 0)
		result = nbdt_kernel_load_module(err);
	if (result == 0)
		result = genl_open(&genl, true, err);
	if (result < 0)
		return result;
	/* The kernel looks the descriptors up in the sender, and shows its process id. */
	genl.isolated = false;
	do
		result = connect_once(&genl, config, index);
	while (is_busy(result) && (busy = wait_busy(config->index, &backoff, err)) == 0);
	if (busy < 0)
		return busy;
	return result < 0 ? refuse_connect(&genl, config, result, err) : 0;
}

static int open_and_disconnect(const void *path)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : ioctl_device_disconnect(fd);
}

static int disconnect_is_stuck(int index, struct nbdt_error *err)
{
	return nbdt_error_set(err, -ETIMEDOUT,
		"nbd%d: the disconnect is stuck, because the server does not read and no timeout "
		"is set; it goes on in the background",
		index);
}

/* For network namespaces where the family cannot be found. */
static int disconnect_by_ioctl(int index, struct nbdt_error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	int result = bounded_run(open_and_disconnect, path, DISCONNECT_LIMIT_MS);
	if (result == -ETIMEDOUT)
		return disconnect_is_stuck(index, err);
	if (result == -ENOENT || result == -ENXIO)
		return nbdt_error_set(err, -ENODEV, "nbd%d: no such device", index);
	return result < 0 ? nbdt_error_errno(err, result, "disconnecting nbd%d", index) : 0;
}

int nbdt_kernel_disconnect(int index, struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	int result = genl_open(&genl, true, err);

	if (result == -EPFNOSUPPORT)
		return disconnect_by_ioctl(index, err);
	if (result < 0)
		return result;
	CLEANUP_MESSAGE struct nl_msg *msg = genl_request(&genl, NBD_CMD_DISCONNECT, 64);
	if (!msg || genl_put_index(msg, index) < 0)
		return nbdt_error_errno(err, -ENOMEM, "nbd%d", index);
	result = genl_exchange(&genl, msg, NULL, NULL);
	if (result == -EINVAL && !device_exists(index))
		return nbdt_error_set(err, -ENODEV, "nbd%d: no such device", index);
	if (result == -ETIMEDOUT)
		return disconnect_is_stuck(index, err);
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

	if (device_read_at(DEVICE_BLOCK_ROOT, index, &info) < 0)
		return nbdt_error_set(err, -ENODEV, "nbd%d: no such device", index);
	if (info.pid == 0)
		return nbdt_error_set(err, -ENOTCONN, "nbd%d: not connected", index);
	/* The identifier alone changes nothing, and succeeds on a device that is up. */
	if (change_once(genl, index, &probe) == 0)
		return nbdt_error_set(err, -EINVAL,
			"nbd%d: the kernel refuses the new values or connections", index);
	if (info.backend[0] &&
		strcmp(info.backend, change->identifier ? change->identifier : "") != 0)
		return nbdt_error_set(err, -EINVAL,
			"nbd%d: connected under another identifier, \"%.200s\"", index,
			info.backend);
	return nbdt_error_set(err, -ENOTCONN,
		"nbd%d: disconnected though still in use, or attached by ioctls, which leaves "
		"nothing to change",
		index);
}

int nbdt_kernel_reconfigure(
	int index, const struct nbdt_kernel_change *change, struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	int result = kernel_check_change(change, err);

	if (result == 0)
		result = genl_open(&genl, true, err);
	if (result < 0)
		return result;
	/* A child that sends keeps no descriptors; these the kernel looks up in the sender. */
	genl.isolated = change->socket_count == 0;
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

int nbdt_kernel_has_netlink(struct nbdt_error *err)
{
	CLEANUP_GENL struct genl genl = { .sock = NULL };
	int result = genl_open(&genl, true, err);

	if (result == 0)
		return 1;
	return result == -EPFNOSUPPORT ? 0 : result;
}
