/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a file has holes, asked step by step with SEEK_DATA and SEEK_HOLE. These move the
 * descriptor's own position, which nothing else uses.
 */
#include <errno.h>
#include <unistd.h>

#include "device-file-extents.h"
#include "device-file.h"

/*
 * Bytes: extents begin and end at its multiples, where the range does not ("NBD_CMD_BLOCK_STATUS"),
 * also if the device begins in the middle of one of the filesystem's blocks. What is hole and data
 * both, is data.
 */
#define GRAIN 512u

#define HOLE (NBDT_EXTENT_HOLE | NBDT_EXTENT_ZERO)

/* A description under way, of what comes from AT on. Offsets are the device's, not the file's. */
struct description {
	struct file_device *file;
	uint64_t at, end;
	struct nbdt_extent *extents;
	size_t count, limit;
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

void file_device_forget_data(struct file_device *file)
{
	for (size_t i = 0; i < RUNS; i++)
		atomic_store_explicit(&file->known_data.runs[i].end, 0, memory_order_relaxed);
}

/* -ENXIO: there is none from AT to the end of the file. */
static int64_t find(const struct description *description, uint64_t at, int whence)
{
	const struct file_device *file = description->file;
	off_t found = lseek(file->fd, (off_t)(file->offset + at), whence);

	return found < 0 ? -errno : found - (off_t)file->offset;
}

static bool is_full(const struct description *description)
{
	return description->at == description->end || description->count == description->limit;
}

/* Goes on to the offset TO, or to the end of the range. */
static void extend(struct description *description, uint64_t to, uint64_t flags)
{
	struct nbdt_extent *extent = &description->extents[description->count];

	if (to > description->end)
		to = description->end;
	if (to <= description->at || is_full(description))
		return;
	if (description->count && extent[-1].flags == flags) {
		extent[-1].length += to - description->at;
	} else {
		extent->length = to - description->at;
		extent->flags = flags;
		description->count++;
	}
	description->at = to;
}

/* What a truncated file has lost is no hole, since it cannot be read. */
static int take_last_hole(struct description *description)
{
	const struct file_device *file = description->file;
	int64_t size = file_device_backing_size(file->fd, file->block_device);

	if (size < 0)
		return (int)size;
	uint64_t backing = (uint64_t)size > file->offset ? (uint64_t)size - file->offset : 0;
	if (backing < description->end)
		backing -= backing % GRAIN;
	extend(description, backing, HOLE);
	extend(description, description->end, 0);
	return 0;
}

/* A hole, if there is one here, and the data behind it. */
static int take_hole_and_data(struct description *description)
{
	int64_t data = find(description, description->at, SEEK_DATA);

	if (data == -ENXIO)
		return take_last_hole(description);
	if (data < 0)
		return (int)data;
	if ((uint64_t)data >= description->end)
		extend(description, description->end, HOLE);
	else
		extend(description, (uint64_t)data / GRAIN * GRAIN, HOLE);
	if (is_full(description))
		return 0;
	int64_t hole = find(description, (uint64_t)data, SEEK_HOLE);
	if (hole < 0)
		return (int)hole;
	remember_data(&description->file->known_data, (uint64_t)data + description->file->offset,
		(uint64_t)hole + description->file->offset);
	extend(description, ((uint64_t)hole + GRAIN - 1) / GRAIN * GRAIN, 0);
	return 0;
}

int file_device_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	struct file_device *file = (struct file_device *)device;
	struct description description = {
		.file = file,
		.at = offset,
		.end = offset + length,
		.extents = extents,
		.limit = *count,
	};
	int result = 0;

	if (flags & NBDT_EXTENTS_ROUGHLY &&
		is_known_data(&file->known_data, file->offset + offset, length)) {
		extents[0] = (struct nbdt_extent){ .length = length };
		*count = 1;
		return 0;
	}
	while (!result && !is_full(&description))
		result = take_hole_and_data(&description);
	/* Block devices and some filesystems cannot tell: then all of it may be data. */
	if (result == -EINVAL || result == -EOPNOTSUPP) {
		extend(&description, description.end, 0);
		result = 0;
	}
	*count = description.count;
	return description.count ? 0 : result;
}
