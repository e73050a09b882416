/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a device for oneself before it goes, and writing back what was not written yet. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "bounded.h"
#include "device-internal.h"

/* LVM and mdadm look at new devices with O_EXCL too, for a moment. Milliseconds. */
#define PASSING_CLAIM 500

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

int nbdt_device_claim(int index, struct nbdt_error *err)
{
	struct backoff backoff = backoff_start(PASSING_CLAIM);
	char path[32], users[384];

	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	for (;;) {
		int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
		if (fd >= 0) {
			hold_off_udev(fd);
			return fd;
		}
		int result = -errno;
		if (result != -EBUSY)
			return nbdt_error_errno(err, result, "cannot open %s", path);
		if (nbdt_device_users(index, users, sizeof(users)))
			return nbdt_error_set(err, -EBUSY, "%s", users);
		if (!backoff_sleep(&backoff))
			return nbdt_error_set(err, -EBUSY,
				"%s is in use by a program, or mounted in another mount namespace",
				path);
	}
}

/*
 * The last close of a device writes back as well, and waits as long: it must happen over there
 * too. A write-back error is told to the first who asks after it, so a fresh open gets it.
 */
static int sync_device(const void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int result = fsync(fd) ? -errno : 0;
	close(fd);
	return result;
}

int nbdt_device_flush(int index, unsigned int timeout, struct nbdt_error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	int result = bounded_run(sync_device, path, (int64_t)timeout * 1000);
	if (result == -ETIMEDOUT)
		return nbdt_error_set(err, result,
			"%s was not flushed within %u s: its server does not answer, or is slow",
			path, timeout);
	if (result)
		return nbdt_error_errno(err, result, "flushing %s", path);
	return 0;
}
