/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of an overlay: a header, a bitmap with a bit for each cluster of the base, and from a
 * whole cluster on, sparse, the clusters that differ from the base, each at its own place. A
 * cluster whose bit is set and whose data is a hole reads as zeroes.
 */
#ifndef NBDT_DEVICE_OVERLAY_H
#define NBDT_DEVICE_OVERLAY_H

#include <pthread.h>
#include <stdatomic.h>

#include "nbdtools.h"

#define OVERLAY_CLUSTER ((uint64_t)64 * 1024) /* bytes */
#define OVERLAY_HEADER 4096u                  /* bytes; the bitmap begins after it */

struct overlay {
	struct nbdt_device device;
	struct nbdt_device *base;
	int fd;
	uint64_t clusters;   /* of the base, the last one maybe cut short */
	uint64_t data_start; /* bytes: where cluster 0 lies in the file */
	/* A bit is set, with release, once its cluster is complete, and never cleared. */
	atomic_uint_fast64_t *present;
	uint64_t words; /* of 64 bits in PRESENT */
	bool volatile_only; /* nothing has to last: no bitmap is written */
	pthread_mutex_t lock; /* held while a cluster becomes present, and the bitmap is written */
	bool bitmap_dirty;    /* under the lock */
};

bool overlay_has(const struct overlay *overlay, uint64_t cluster);

/* device-overlay-extents.c: the operation. */
int overlay_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count);

/* device-overlay-file.c: the file under an overlay. */

/* Opens or makes PATH for OVERLAY, whose base is set; NULL: an unnamed one in memory. */
int overlay_open_file(struct overlay *overlay, const char *path, struct nbdt_error *err);
/* Makes all that was written, and then the bitmap that knows of it, persistent. */
int overlay_sync(struct overlay *overlay);
/* Exactly LENGTH bytes at OFFSET of the file. 0 or a negative errno; past its end: zeroes. */
int overlay_read_file(int fd, void *buffer, uint64_t length, uint64_t offset);
int overlay_write_file(int fd, const void *buffer, uint64_t length, uint64_t offset);

#endif
