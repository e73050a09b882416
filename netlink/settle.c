/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until an attached device can be used, or a detached one is free. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bounded.h"
#include "cleanup.h"
#include "device-internal.h"

static int open_and_close(const void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int device_scan_partitions(int index, int64_t milliseconds)
{
	char path[32];

	/* The scan reads from the server, asleep beyond signals: a dead server must not hold us. */
	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	return bounded_run(open_and_close, path, milliseconds);
}

static bool node_exists(const struct device_node *node)
{
	char path[sizeof("/dev/") + DEVICE_NAME_SIZE];
	struct stat status;

	snprintf(path, sizeof(path), "/dev/%s", node->name);
	return !stat(path, &status) && S_ISBLK(status.st_mode) &&
		status.st_rdev == makedev(node->major, node->minor);
}

/* Waits for the nodes of the disk and of the partitions that the kernel knows of now. */
static int wait_for_nodes(int index, struct backoff *backoff, struct nbdt_error *err)
{
	CLEANUP_FREE struct device_node *nodes = NULL;
	size_t count;

	int result = device_list_nodes(DEVICE_BLOCK_ROOT, index, &nodes, &count);
	if (result)
		return nbdt_error_errno(err, result, "/dev/nbd%d", index);
	backoff_restart(backoff);
	for (size_t i = 0; i < count; i++)
		while (!node_exists(&nodes[i]))
			if (!backoff_sleep(backoff))
				return nbdt_error_set(err, -ETIMEDOUT,
					"the kernel has %s, but /dev/%s has not appeared",
					nodes[i].name, nodes[i].name);
	return 0;
}

static int require_connected(int index, struct nbdt_error *err)
{
	struct nbdt_device_info info;

	int result = device_read_at(DEVICE_BLOCK_ROOT, index, &info);
	if (result)
		return nbdt_error_errno(err, result, "/dev/nbd%d", index);
	if (!info.pid)
		return nbdt_error_set(err, -ENOTCONN, "/dev/nbd%d is not connected", index);
	return 0;
}

int nbdt_device_settle(int index, unsigned int timeout, struct nbdt_error *err)
{
	struct backoff backoff = backoff_start((int64_t)timeout * 1000);

	int result = require_connected(index, err);
	if (!result)
		result = wait_for_nodes(index, &backoff, err);
	if (result)
		return result;
	result = device_scan_partitions(index, backoff_left(&backoff));
	if (result == -ETIMEDOUT)
		return nbdt_error_set(err, result,
			"the server does not answer, and the kernel cannot look for partitions on "
			"/dev/nbd%d",
			index);
	if (result)
		return nbdt_error_errno(err, result, "cannot open /dev/nbd%d", index);
	/* That open returned after the scan: the partitions in sysfs are all that there are. */
	result = wait_for_nodes(index, &backoff, err);
	if (result)
		return result;
	result = udev_wait_idle(&backoff);
	if (result == -ETIMEDOUT)
		return nbdt_error_set(err, result,
			"udev is still busy %u s after /dev/nbd%d was attached", timeout,
			index);
	if (result)
		return nbdt_error_errno(err, result, "cannot watch udev");
	/* A server that died meanwhile may have taken the device with it. */
	return require_connected(index, err);
}

/* The kernel gives a freed device to the next CONNECT at once: then it is free of the old one. */
static bool is_other_connection(
	const struct nbdt_device_info *before, const struct nbdt_device_info *now)
{
	return before->pid != now->pid || strcmp(before->backend, now->backend) != 0;
}

int nbdt_device_wait_free(int index, unsigned int timeout, struct nbdt_error *err)
{
	struct backoff backoff = backoff_start((int64_t)timeout * 1000);
	struct nbdt_device_info before, now;
	char users[256];

	int result = device_read_at(DEVICE_BLOCK_ROOT, index, &before);
	now = before;
	while (!result && now.pid) {
		if (!backoff_sleep(&backoff)) {
			int count = nbdt_device_users(index, users, sizeof(users));

			return nbdt_error_set(err, -EBUSY,
				"/dev/nbd%d is disconnected, but still in use: %s", index,
				count ? users : "some program has it open");
		}
		result = device_read_at(DEVICE_BLOCK_ROOT, index, &now);
		if (!result && now.pid && is_other_connection(&before, &now))
			return 0;
	}
	/* A device that removes itself at its disconnect is as free as can be. */
	if (result == -ENODEV)
		return 0;
	if (result)
		return nbdt_error_errno(err, result, "cannot read /sys/block/nbd%d", index);
	/* The device is free; stale nodes and a slow udev make it no less so. */
	device_scan_partitions(index, backoff_left(&backoff));
	udev_wait_idle(&backoff);
	return 0;
}
