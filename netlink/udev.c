/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for udev, as `udevadm settle` does, but without its ping, which needs root. */
#include <errno.h>
#include <inttypes.h>
#include <libudev.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "device-internal.h"

#define KERNEL_GROUP 1u /* NETLINK_KOBJECT_UEVENT: uevents as the kernel sends them */

/*
 * How long unread events count. Somebody else's stopped listener would hold us up for ever.
 * Milliseconds.
 */
#define UNREAD_LIMIT 2000

/* One line of /proc/net/netlink: sk, Eth, Pid, Groups, Rmem … */
static bool has_unread_uevents(const char *line)
{
	unsigned int protocol, groups;
	uint64_t unread;

	return sscanf(line, "%*s %u %*s %x %" SCNu64, &protocol, &groups, &unread) == 3 &&
		protocol == NETLINK_KOBJECT_UEVENT && (groups & KERNEL_GROUP) && unread;
}

/*
 * The kernel sends an event before the call that caused it returns, but udevd's queue only shows
 * what it has read already: just after an attach, an empty queue may mean that udevd has not woken
 * up yet. What waits in its socket can be seen here, in the initial network namespace.
 */
static bool uevents_are_unread(void)
{
	CLEANUP_FREE char *line = NULL;
	bool unread = false;
	size_t size = 0;

	FILE *table = fopen("/proc/self/net/netlink", "re");
	if (!table)
		return false;
	while (!unread && getline(&line, &size, table) >= 0)
		unread = has_unread_uevents(line);
	fclose(table);
	return unread;
}

int udev_wait_idle(struct backoff *backoff)
{
	const struct backoff unread = backoff_start(UNREAD_LIMIT);
	unsigned int quiet = 0;
	int result = 0;

	struct udev *udev = udev_new();
	if (!udev)
		return -ENOMEM;
	struct udev_queue *queue = udev_queue_new(udev);
	if (queue && udev_queue_get_udev_is_active(queue)) {
		backoff_restart(backoff);
		/* Twice: between reading an event and showing it, udevd needs a moment. */
		while (!result && quiet < 2) {
			bool idle = (!backoff_left(&unread) || !uevents_are_unread()) &&
				udev_queue_get_queue_is_empty(queue);

			quiet = idle ? quiet + 1 : 0;
			if (!backoff_sleep(backoff))
				result = -ETIMEDOUT;
		}
	}
	udev_queue_unref(queue);
	udev_unref(udev);
	return result;
}

int nbdt_udev_settle(unsigned int timeout)
{
	struct backoff backoff = backoff_start((int64_t)timeout * 1000);

	return udev_wait_idle(&backoff);
}
