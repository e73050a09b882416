/* SPDX-License-Identifier: Apache-2.0 */
/* Telling udev, and whoever else listens to uevents, that there is news about a device. */
#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "device-internal.h"
#include "sysfs.h"

/* The kernel sends the event before the write returns (drivers/base/core.c, uevent_store()). */
static int send_change(int folder, const char *path)
{
	return sysfs_write_text(folder, path, "change");
}

int device_announce_at(const char *block_root, int index)
{
	CLEANUP_FREE struct device_node *nodes = NULL;
	char path[DEVICE_NAME_SIZE + sizeof("/uevent")];
	size_t count;

	CLEANUP_CLOSE int folder = device_open_folder(block_root, index);
	if (folder < 0)
		return folder;
	int result = device_list_nodes(block_root, index, &nodes, &count);
	if (!result)
		result = send_change(folder, "uevent");
	/* udev works off a disk's event first: its partitions may import what came of it. */
	for (size_t i = 1; !result && i < count; i++) {
		snprintf(path, sizeof(path), "%s/uevent", nodes[i].name);
		result = send_change(folder, path);
		/* A partition that is gone by now had an event of its own. */
		if (result == -ENOENT || result == -ENODEV)
			result = 0;
	}
	return result;
}

int nbdt_device_announce(int index)
{
	return device_announce_at(DEVICE_BLOCK_ROOT, index);
}
