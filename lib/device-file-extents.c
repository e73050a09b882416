/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a file has holes, asked step by step with SEEK_DATA and SEEK_HOLE. These move the
 * descriptor's own position, which nothing else uses.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device-file-extents.h"
#include "device-file.h"
#include "extents.h"

/*
 * Bytes: extents begin and end at its multiples, where the range does not ("NBD_CMD_BLOCK_STATUS"),
 * also if the device begins in the middle of one of the filesystem's blocks. What is hole and data
 * both, is data.
 */
#define GRAIN 512u

#define HOLE (NBDT_EXTENT_HOLE | NBDT_EXTENT_ZERO)

/* The list's offsets are the device's, not the file's. */
struct description {
	struct file_device *file;
	struct extent_list list;
};

#define RUNS (sizeof(((struct known_data *)0)->runs) / sizeof(((struct known_data *)0)->runs[0]))

/*
 * On tmpfs SEEK_HOLE walks through every page of the data (mm/filemap.c, mapping_seek_hole_data()):
 * 4 ms for 256 MiB, too much for each READ.
 */
static bool is_known_data(struct known_data *known, uint64_t offset, uint64_t length)
{
	for (size_t i = 0; i < RUNS; i++) {
		if (offset >= atomic_load_explicit(&known->runs[i].begin, memory_order_relaxed) &&
			offset + length <=
				atomic_load_explicit(&known->runs[i].end, memory_order_relaxed))
			return true;
	}
	return false;
}

/* A run that ends where one does that is known contains that one, or lies in it. */
static void remember_data(struct known_data *known, uint64_t begin, uint64_t end)
{
	size_t i = 0;

	while (i < RUNS && atomic_load_explicit(&known->runs[i].end, memory_order_relaxed) != end)
		i++;
	if (i == RUNS)
		i = atomic_fetch_add_explicit(&known->next, 1, memory_order_relaxed) % RUNS;
	else if (atomic_load_explicit(&known->runs[i].begin, memory_order_relaxed) <= begin)
		return;
	atomic_store_explicit(&known->runs[i].begin, begin, memory_order_relaxed);
	atomic_store_explicit(&known->runs[i].end, end, memory_order_relaxed);
}

/* What remains of a run on the longer side of the hole is still known. */
void file_device_forget_data(struct file_device *file, uint64_t begin, uint64_t end)
{
	for (size_t i = 0; i < RUNS; i++) {
		struct known_run *run = &file->known_data.runs[i];
		uint64_t first = atomic_load_explicit(&run->begin, memory_order_relaxed);
		uint64_t last = atomic_load_explicit(&run->end, memory_order_relaxed);

		if (first >= end || last <= begin)
			continue;
		if (first < begin && (last <= end || begin - first > last - end))
			atomic_store_explicit(&run->end, begin, memory_order_relaxed);
		else
			atomic_store_explicit(&run->begin, end, memory_order_relaxed);
	}
}

/* As many blocks as the file has bytes: no hole that would be worth the search. */
static bool is_allocated(const struct file_device *file)
{
	struct stat stat;

	return !fstat(file->fd, &stat) && stat.st_blocks >= stat.st_size / 512;
}

/* -ENXIO: there is none from AT to the end of the file. */
static int64_t find(const struct description *description, uint64_t at, int whence)
{
	const struct file_device *file = description->file;
	off_t found = lseek(file->fd, (off_t)(file->offset + at), whence);

	return found < 0 ? -errno : found - (off_t)file->offset;
}

/* What a truncated file has lost is no hole, since it cannot be read. */
static int take_last_hole(struct description *description)
{
	const struct file_device *file = description->file;
	struct extent_list *list = &description->list;
	int64_t size = file_device_backing_size(file->fd, file->block_device);

	if (size < 0)
		return (int)size;
	uint64_t backing = (uint64_t)size > file->offset ? (uint64_t)size - file->offset : 0;
	if (backing < list->end)
		backing -= backing % GRAIN;
	extent_list_extend(list, backing, HOLE);
	extent_list_extend(list, list->end, 0);
	return 0;
}

/* A hole, if there is one here, and the data behind it. */
static int take_hole_and_data(struct description *description)
{
	struct extent_list *list = &description->list;
	int64_t data = find(description, list->at, SEEK_DATA);

	if (data == -ENXIO)
		return take_last_hole(description);
	if (data < 0)
		return (int)data;
	if ((uint64_t)data >= list->end)
		extent_list_extend(list, list->end, HOLE);
	else
		extent_list_extend(list, (uint64_t)data / GRAIN * GRAIN, HOLE);
	if (extent_list_full(list))
		return 0;
	int64_t hole = find(description, (uint64_t)data, SEEK_HOLE);
	if (hole < 0)
		return (int)hole;
	remember_data(&description->file->known_data, (uint64_t)data + description->file->offset,
		(uint64_t)hole + description->file->offset);
	extent_list_extend(list, ((uint64_t)hole + GRAIN - 1) / GRAIN * GRAIN, 0);
	return 0;
}

int file_device_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	struct file_device *file = (struct file_device *)device;
	struct description description = {
		.file = file,
		.list = {
			.at = offset,
			.end = offset + length,
			.extents = extents,
			.limit = *count,
		},
	};
	struct extent_list *list = &description.list;
	int result = 0;

	if (flags & NBDT_EXTENTS_ROUGHLY &&
		(is_known_data(&file->known_data, file->offset + offset, length) ||
			is_allocated(file))) {
		extents[0] = (struct nbdt_extent){ .length = length };
		*count = 1;
		return 0;
	}
	while (!result && !extent_list_full(list))
		result = take_hole_and_data(&description);
	/* Block devices and some filesystems cannot tell: then all of it may be data. */
	if (result == -EINVAL || result == -EOPNOTSUPP) {
		extent_list_extend(list, list->end, 0);
		result = 0;
	}
	*count = list->count;
	return list->count ? 0 : result;
}
