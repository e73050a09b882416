/* SPDX-License-Identifier: Apache-2.0 */
/* The holes of a file. */
#ifndef NBDT_DEVICE_FILE_EXTENTS_H
#define NBDT_DEVICE_FILE_EXTENTS_H

#include "device-file.h"

int file_device_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count);

/* To be called when a hole is made in the file, from BEGIN to END in bytes. */
void file_device_forget_data(struct file_device *file, uint64_t begin, uint64_t end);

#endif
