/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that is set up by the ioctls of linux/nbd.h: the steps, without the thread that makes
 * them.
 */
#ifndef NBDT_IOCTL_DEVICE_H
#define NBDT_IOCTL_DEVICE_H

#include "kernel-internal.h"

/*
 * Opens a device nobody uses, gives it the sockets and all values. All must happen in the thread
 * that will call NBD_DO_IT: the kernel compares tasks. Returns the descriptor; on failure nothing
 * is attached.
 */
int ioctl_device_set_up(
	const struct nbdt_kernel_config *config, int *index, struct nbdt_error *err);

/*
 * Disconnects a device that any process attached, by either path. Both ioctls, since a server may
 * ignore the goodbye of the first, and a device attached by netlink is freed by the second only.
 */
int ioctl_device_disconnect(int fd);

/* True once NBD_DO_IT is running: the device has its pid and its size. */
bool ioctl_device_is_up(int index, uint64_t size);

#endif
