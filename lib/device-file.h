/* SPDX-License-Identifier: Apache-2.0 */
/* A regular file or block device as a device: what opening it and working on it share. */
#ifndef NBDT_DEVICE_FILE_H
#define NBDT_DEVICE_FILE_H

#include <stdatomic.h>

#include "nbdtools.h"

/*
 * Runs of data that were found between two holes, for rough answers. Any thread may change them at
 * any time: at worst a hole is called data.
 */
struct known_data {
	struct known_run {
		atomic_uint_fast64_t begin, end; /* the file's offsets */
	} runs[32];
	atomic_uint next; /* the one to be replaced */
};

struct file_device {
	struct nbdt_device device;
	struct nbdt_device_ops ops; /* of this file: without what it turned out not to support */
	int fd;
	int direct_fd;        /* O_DIRECT, for what is aligned; -1: none */
	uint32_t direct_align; /* bytes, of offset and length for direct_fd */
	uint64_t offset;      /* in the file, bytes */
	uint64_t size_limit;  /* bytes; 0: none */
	uint32_t rounding;    /* bytes: size is a multiple of it */
	uint32_t sector;      /* of a block device, bytes: discards must be aligned to it */
	bool block_device;
	bool in_memory;       /* the filesystem has no storage to wait for */
	bool keep_allocated;  /* punch no holes, not even for zeroes */
	atomic_bool no_zero_range; /* the filesystem refused it once */
	atomic_bool no_punch;
	atomic_bool no_nowait; /* it cannot tell whether a read would wait */
	struct known_data known_data;
};

extern const struct nbdt_device_ops file_device_ops;

/* Size of the file or block device behind FD in bytes, or a negative errno. */
int64_t file_device_backing_size(int fd, bool block_device);

/*
 * The part of a backing of BACKING bytes that the device offers: cut to its limit and to whole
 * blocks; the rest in *LOST.
 */
uint64_t file_device_usable_size(const struct file_device *file, uint64_t backing, uint64_t *lost);

#endif
