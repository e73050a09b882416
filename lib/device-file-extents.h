/* SPDX-License-Identifier: Apache-2.0 */
/* The holes of a file. */
#ifndef NBDT_DEVICE_FILE_EXTENTS_H
#define NBDT_DEVICE_FILE_EXTENTS_H

#include "nbdtools.h"

int file_device_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	struct nbdt_extent *extents, size_t *count);

#endif
