/* SPDX-License-Identifier: Apache-2.0 */
#include "overlap.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "devices.h"

/* A range of a file; an end that is not known or not limited is UINT64_MAX. */
struct range {
	uint64_t dev, ino;
	uint64_t begin, end;
};

static uint64_t range_end(uint64_t begin, uint64_t size)
{
	uint64_t end;

	return !size || __builtin_add_overflow(begin, size, &end) ? UINT64_MAX : end;
}

static bool overlaps(const struct range *one, const struct range *other)
{
	return one->dev == other->dev && one->ino == other->ino && one->begin < other->end
	       && other->begin < one->end;
}

static int check_nbd_devices(
	const struct range *wanted, const char *file, struct nbdt_error *err)
{
	struct known_device *devices;
	size_t count;

	int result = read_devices(&devices, &count, err);
	for (size_t i = 0; !result && i < count; i++) {
		const struct nbdt_record *other = &devices[i].record;

		if (!devices[i].has_record || other->kind != NBDT_KIND_LOOP || other->read_only)
			continue;
		const struct range range = {
			.dev = other->file_dev,
			.ino = other->file_ino,
			.begin = other->offset,
			.end = range_end(other->offset, other->size_limit),
		};
		if (overlaps(wanted, &range))
			result = nbdt_error_set(err, -EBUSY,
				"%s is already attached for writing to /dev/nbd%d; two writers"
				" would destroy it (--force does it all the same)",
				file, other->index);
	}
	free_devices(devices, count);
	return result;
}

static int check_loop_device(const char *path, const struct range *wanted, const char *file,
	struct nbdt_error *err)
{
	struct loop_info64 info;

	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) || (info.lo_flags & LO_FLAGS_READ_ONLY))
		return 0;
	/*
	 * The kernel gives st_dev for a file and st_rdev for a block device, in its own encoding.
	 */
	const struct range range = {
		.dev = info.lo_rdevice ? info.lo_rdevice : info.lo_device,
		.ino = info.lo_rdevice ? 0 : info.lo_inode,
		.begin = info.lo_offset,
		.end = range_end(info.lo_offset, info.lo_sizelimit),
	};
	if (!overlaps(wanted, &range))
		return 0;
	return nbdt_error_set(err, -EBUSY,
		"%s is already attached for writing to %s; two writers would destroy it"
		" (--force does it all the same)",
		file, path);
}

static int check_loop_devices(
	const struct range *wanted, const char *file, struct nbdt_error *err)
{
	glob_t found;
	int result = 0;

	if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found))
		return 0;
	for (size_t i = 0; !result && i < found.gl_pathc; i++) {
		char path[64] = "/dev/";
		const char *name = found.gl_pathv[i] + strlen("/sys/block/");

		strncat(path, name, strcspn(name, "/") < 32 ? strcspn(name, "/") : 32);
		result = check_loop_device(path, wanted, file, err);
	}
	globfree(&found);
	return result;
}

int check_overlap(const struct nbdt_record *record, struct nbdt_error *err)
{
	const struct range wanted = {
		.dev = record->file_dev,
		.ino = record->file_ino,
		.begin = record->offset,
		.end = range_end(record->offset, record->size_limit),
	};

	if (record->read_only)
		return 0;
	int result = check_nbd_devices(&wanted, record->source, err);
	if (!result)
		result = check_loop_devices(&wanted, record->source, err);
	return result;
}
