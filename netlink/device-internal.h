/* SPDX-License-Identifier: Apache-2.0 */
/* Devices under any root of sysfs, so that tests can bring one of their own. */
#ifndef NBDT_DEVICE_INTERNAL_H
#define NBDT_DEVICE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "backoff.h"
#include "nbdtools-kernel.h"

#define DEVICE_BLOCK_ROOT "/sys/block"
#define DEVICE_NUMBER_ROOT "/sys/dev/block"
#define DEVICE_NAME_SIZE 32 /* DISK_NAME_LEN of the kernel, for partitions too */

/* A disk or one of its partitions: a name in /dev, and its number. */
struct device_node {
	char name[DEVICE_NAME_SIZE];
	unsigned int major, minor;
};

/* "nbd0" alone to its number; -EINVAL. */
int device_parse_name(const char *name);

/* The same of the disk with this device number; -EINVAL if it is a partition or no NBD device. */
int device_find_number(const char *number_root, unsigned int major, unsigned int minor);

/* Opens the folder of a device; -ENODEV. */
int device_open_folder(const char *block_root, int index);

/* As nbdt_device_get() and _list(), but the state is FREE or CONNECTED, by the pid alone. */
int device_read_at(const char *block_root, int index, struct nbdt_device_info *info);
int device_list_at(const char *block_root, struct nbdt_device_info **list, size_t *count);

/* From 5.14 on nbd.c keeps identifiers and shows which attachments were made by netlink. */
bool device_kernel_has_identifiers(void);

/* The disk, then its partitions in order; *NODES is for free(). Errors: -ENODEV, -ENOMEM. */
int device_list_nodes(
	const char *block_root, int index, struct device_node **nodes, size_t *count);
/* The same for any disk, or partition, which has none itself. */
int device_list_nodes_of(const char *number_root, unsigned int major, unsigned int minor,
	struct device_node **nodes, size_t *count);

/* As nbdt_device_set_max_request(). */
int device_set_max_request_at(
	const char *block_root, int index, uint32_t bytes, struct nbdt_error *err);

/*
 * Opens a device for reading and closes it, which makes the kernel scan its partitions, or drop
 * those of a device that is not connected any more. -ETIMEDOUT: the server does not answer.
 */
int device_scan_partitions(int index, int64_t milliseconds);

/* As nbdt_device_announce(). */
int device_announce_at(const char *block_root, int index);

/*
 * Waits until udev has worked off the events that were sent before the call. Returns at once
 * where no udev runs; -ETIMEDOUT.
 */
int udev_wait_idle(struct backoff *backoff);

#endif
