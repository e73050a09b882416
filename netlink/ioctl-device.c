/* SPDX-License-Identifier: Apache-2.0 */
/* Claiming and setting up a device by ioctl: drivers/block/nbd.c, __nbd_ioctl(). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "device-internal.h"
#include "ioctl-device.h"

/*
 * Read-only descriptors: a device keeps its `ro` from the last connection until the next, and the
 * close of a writer makes udev open the device again.
 */
static int open_node(int index, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	do
		fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/*
 * Takes a device with its first socket: from then on the kernel refuses other tasks, and only
 * from then on NBD_CLEAR_SOCK is ours to call; it would tear down anybody's session. Returns a
 * descriptor, or -EBUSY.
 */
static int claim(int index, int first_socket)
{
	struct nbdt_device_info info;
	int result = device_read_at(DEVICE_BLOCK_ROOT, index, &info);

	if (result < 0)
		return result;
	if (info.pid || info.size)
		return -EBUSY;
	/*
	 * O_EXCL fails where a filesystem holds the device, but would keep filesystems off it if
	 * held on.
	 */
	CLEANUP_CLOSE int exclusive = open_node(index, O_EXCL);
	if (exclusive < 0)
		return exclusive;
	int fd = open_node(index, 0);
	if (fd < 0)
		return fd;
	if (ioctl(fd, NBD_SET_SOCK, first_socket) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

static int refuse_claim(int index, int code, struct nbdt_error *err)
{
	if (code == -EPERM || code == -EACCES)
		return nbdt_error_set(
			err, -EPERM, "connecting an NBD device needs root (CAP_SYS_ADMIN)");
	if (code == -ENOENT || code == -ENXIO)
		return nbdt_error_set(err, -ENODEV, "/dev/nbd%d: no such device", index);
	if (code == -ENODEV)
		return nbdt_error_set(
			err, -ENODEV, "nbd%d: no such device; by ioctl none can be made", index);
	return nbdt_error_errno(err, code, "nbd%d: taking the device", index);
}

static int claim_index(int index, int first_socket, struct nbdt_error *err)
{
	struct backoff backoff = backoff_start(KERNEL_BUSY_MS);

	for (;;) {
		int fd = claim(index, first_socket);

		if (fd >= 0)
			return fd;
		if (fd != -EBUSY)
			return refuse_claim(index, fd, err);
		int busy = kernel_wait_busy(index, &backoff, err);
		if (busy < 0)
			return busy;
	}
}

/*
 * The first device that lets itself be claimed. Another process may take any of them meanwhile:
 * then the next.
 */
static int claim_any(int first_socket, int *index, struct nbdt_error *err)
{
	CLEANUP_FREE struct nbdt_device_info *list = NULL;
	size_t count = 0;
	int result = device_list_at(DEVICE_BLOCK_ROOT, &list, &count);

	if (result < 0)
		return nbdt_error_errno(err, result, "looking for a free NBD device");
	for (size_t i = 0; i < count; i++) {
		int fd = claim(list[i].index, first_socket);

		if (fd >= 0)
			*index = list[i].index;
		/* A device may have no node, as in a container that was given only some of them. */
		if (fd >= 0 || (fd != -EBUSY && fd != -ENODEV && fd != -ENOENT && fd != -ENXIO))
			return fd >= 0 ? fd : refuse_claim(list[i].index, fd, err);
	}
	return nbdt_error_set(err, -EBUSY,
		"none of the %zu NBD devices is free; the nbds_max parameter "
		"of the kernel module nbd sets their number",
		count);
}

static int step(int fd, unsigned long request, const char *what, unsigned long argument, int index,
	struct nbdt_error *err)
{
	if (ioctl(fd, request, argument) == 0)
		return 0;
	return nbdt_error_errno(err, -errno, "nbd%d: setting the %s", index, what);
}

static int set_values(
	int fd, const struct nbdt_kernel_config *config, int index, struct nbdt_error *err)
{
	uint64_t blocks = config->size / config->block_size;
	int result = 0;

	if (blocks > ULONG_MAX || config->timeout > ULONG_MAX)
		return nbdt_error_set(err, -EINVAL, "nbd%d: size or timeout too large", index);
	for (size_t i = 1; i < config->socket_count && result == 0; i++)
		result = step(fd, NBD_SET_SOCK, "connection", (unsigned long)config->sockets[i],
			index, err);
	if (result == 0)
		result = step(fd, NBD_SET_BLKSIZE, "block size", config->block_size, index, err);
	if (result == 0)
		result = step(fd, NBD_SET_SIZE_BLOCKS, "size", (unsigned long)blocks, index, err);
	if (result == 0)
		result = step(fd, NBD_SET_FLAGS, "flags", config->server_flags, index, err);
	if (result == 0)
		result = step(
			fd, NBD_SET_TIMEOUT, "timeout", (unsigned long)config->timeout, index, err);
	return result;
}

int ioctl_device_set_up(const struct nbdt_kernel_config *config, int *index, struct nbdt_error *err)
{
	int fd = config->index == NBDT_INDEX_ANY
			 ? claim_any(config->sockets[0], index, err)
			 : claim_index(config->index, config->sockets[0], err);

	if (fd < 0)
		return fd;
	if (config->index != NBDT_INDEX_ANY)
		*index = config->index;
	int result = set_values(fd, config, *index, err);
	if (result < 0) {
		ioctl(fd, NBD_CLEAR_SOCK);
		close(fd);
		return result;
	}
	return fd;
}

int ioctl_device_disconnect(int fd)
{
	int result = ioctl(fd, NBD_DISCONNECT) < 0 ? -errno : 0;

	if (ioctl(fd, NBD_CLEAR_SOCK) < 0 && result == 0)
		result = -errno;
	return result;
}

bool ioctl_device_is_up(int index, uint64_t size)
{
	struct nbdt_device_info info;

	/*
	 * The pid comes first, the size last; what does not fill a sector the block layer does
	 * not show.
	 */
	return device_read_at(DEVICE_BLOCK_ROOT, index, &info) == 0 && info.pid &&
	       info.size == size / 512 * 512;
}
