/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a device for oneself before it goes, and writing back what was not written yet. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bounded.h"
#include "cleanup.h"
#include "device-internal.h"

/* LVM and mdadm look at new devices with O_EXCL too, for a moment. Milliseconds. */
#define PASSING_CLAIM 500

#define PATH_SIZE (sizeof("/dev/") + DEVICE_NAME_SIZE)

/*
 * udev leaves a device alone while somebody has an exclusive lock on it (systemd's "Locking Block
 * Device Access"), and holds a lock of its own while it probes, for moments only. Without the lock
 * all goes well too, but for noise: see the header.
 */
static void hold_off_udev(int fd)
{
	struct backoff backoff = backoff_start(PASSING_CLAIM);

	while (flock(fd, LOCK_EX | LOCK_NB) && backoff_sleep(&backoff))
		;
}

static int open_exclusively(const void *path)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int nbdt_device_claim(int index, unsigned int timeout, struct nbdt_error *err)
{
	struct backoff backoff = backoff_start(PASSING_CLAIM);
	char path[32], users[384];

	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	for (;;) {
		/* The first open() after a connect reads from the server. Others wait behind it. */
		int fd = bounded_run(open_exclusively, path, (int64_t)timeout * 1000);
		if (fd >= 0 && nbdt_device_users(index, users, sizeof(users))) {
			/* A loop device upon it, for one, does not claim what it lies on. */
			close(fd);
			return nbdt_error_set(err, -EBUSY, "%s", users);
		}
		if (fd >= 0) {
			hold_off_udev(fd);
			return fd;
		}
		if (fd == -ETIMEDOUT)
			return nbdt_error_set(err, fd,
				"%s could not be opened within %u s: its server does not answer, or"
				" is slow",
				path, timeout);
		if (fd != -EBUSY)
			return nbdt_error_errno(err, fd, "cannot open %s", path);
		if (nbdt_device_users(index, users, sizeof(users)))
			return nbdt_error_set(err, -EBUSY, "%s", users);
		if (!backoff_sleep(&backoff))
			return nbdt_error_set(err, -EBUSY,
				"%s is in use by a program, or mounted in another mount namespace",
				path);
	}
}

/*
 * BLKFLSBUF syncs the filesystem that is mounted from the node, if any, but keeps errors to itself
 * and needs privileges; fsync() tells them. A write-back error is told to the first who asks after
 * it, so a fresh open gets it. The last close writes back as well, and waits as long: it must
 * happen here too.
 */
static int sync_node(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ioctl(fd, BLKFLSBUF, 0);
	int result = fsync(fd) ? -errno : 0;
	close(fd);
	return result;
}

struct paths {
	size_t count;
	char (*list)[PATH_SIZE]; /* the disk, then its partitions */
};

/*
 * Each partition has a page cache of its own, of which an fsync() of the disk knows nothing. The
 * disk comes last, as what is written back to partitions goes through it.
 */
static int sync_nodes(const void *arg)
{
	const struct paths *paths = arg;
	int result = 0;

	for (size_t i = paths->count; i-- > 0;) {
		int one = sync_node(paths->list[i]);

		/* A partition without a node, or gone by now, has no writers either. */
		if (i && (one == -ENOENT || one == -ENXIO))
			continue;
		result = result ? result : one;
	}
	return result;
}

static int list_paths(int index, struct paths *paths)
{
	CLEANUP_FREE struct device_node *nodes = NULL;

	int result = device_list_nodes(DEVICE_BLOCK_ROOT, index, &nodes, &paths->count);
	if (result)
		return result;
	paths->list = calloc(paths->count, sizeof(*paths->list));
	if (!paths->list)
		return -ENOMEM;
	for (size_t i = 0; i < paths->count; i++)
		snprintf(paths->list[i], sizeof(paths->list[i]), "/dev/%s", nodes[i].name);
	return 0;
}

int nbdt_device_flush(int index, unsigned int timeout, struct nbdt_error *err)
{
	struct paths paths = { 0 };

	int result = list_paths(index, &paths);
	if (!result)
		result = bounded_run(sync_nodes, &paths, (int64_t)timeout * 1000);
	free(paths.list);
	if (result == -ETIMEDOUT)
		return nbdt_error_set(err, result,
			"/dev/nbd%d was not flushed within %u s: its server does not answer, or "
			"is slow",
			index, timeout);
	if (result)
		return nbdt_error_errno(err, result, "cannot flush /dev/nbd%d", index);
	return 0;
}
