/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trim and zero of a file or block device. Neither may change the file's size, so every
 * fallocate() has KEEP_SIZE; and with FUA both are persistent when they return.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device-file-extents.h"
#include "device-file-zero.h"
#include "device-file.h"

#define ZERO_PAGE ((size_t)64 * 1024)
#define ZERO_PAGES 16 /* in one call: 1 MiB */

/* Never written; not const because an iovec's base is not. */
static unsigned char zero_page[ZERO_PAGE] __attribute__((aligned(4096)));

/* One fallocate() of the whole range; a signal is no reason to stop. */
static int allocate(int fd, int mode, uint64_t at, uint64_t length)
{
	int result;

	do {
		result = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length);
	} while (result && errno == EINTR);
	return result ? -errno : 0;
}

/* Runs a mode of fallocate() that the filesystem may not have, and remembers when it has not. */
static int try_mode(int fd, int mode, uint64_t at, uint64_t length, atomic_bool *unsupported)
{
	if (atomic_load_explicit(unsupported, memory_order_relaxed))
		return -EOPNOTSUPP;
	int result = allocate(fd, mode, at, length);
	if (result == -EOPNOTSUPP || result == -ENOSYS) {
		atomic_store_explicit(unsupported, true, memory_order_relaxed);
		return -EOPNOTSUPP;
	}
	return result;
}

static int make_persistent(const struct file_device *file, const struct nbdt_request *request,
	int result)
{
	if (result || !(request->flags & NBDT_REQUEST_FUA))
		return result;
	return fdatasync(file->fd) ? -errno : 0;
}

static int discard(const struct file_device *file, uint64_t at, uint64_t length)
{
	/* Whole sectors inside the range: a discard of a part of one is refused by the kernel. */
	uint64_t begin = (at + file->sector - 1) / file->sector * file->sector;
	uint64_t end = (at + length) / file->sector * file->sector;
	uint64_t range[2] = { begin, end - begin };

	if (begin >= end)
		return 0;
	return ioctl(file->fd, BLKDISCARD, range) ? -errno : 0;
}

int file_device_trim(struct nbdt_device *device, struct nbdt_request *request)
{
	struct file_device *file = (struct file_device *)device;
	uint64_t at = file->offset + request->offset;
	int result;

	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	if (file->block_device)
		result = discard(file, at, request->length);
	else
		result = try_mode(file->fd, FALLOC_FL_PUNCH_HOLE, at, request->length,
			&file->no_punch);
	file_device_forget_data(file, at, at + request->length);
	/* A trim is only a hint (NBD_CMD_TRIM). */
	if (result == -EOPNOTSUPP)
		result = 0;
	return make_persistent(file, request, result);
}

static ssize_t write_zeroes_once(int fd, uint64_t at, uint64_t length)
{
	struct iovec vector[ZERO_PAGES];
	int count = 0;

	for (; count < ZERO_PAGES && length; count++) {
		vector[count].iov_base = zero_page;
		vector[count].iov_len = length < ZERO_PAGE ? length : ZERO_PAGE;
		length -= vector[count].iov_len;
	}
	return pwritev(fd, vector, count, (off_t)at);
}

/* The slow way, through the page cache whatever the alignment is. */
static int write_zeroes(const struct file_device *file, uint64_t at, uint64_t length)
{
	int64_t backing = file_device_backing_size(file->fd, file->block_device);

	/* Writing would make a truncated file longer again. */
	if (backing < 0 || at + length > (uint64_t)backing)
		return backing < 0 ? (int)backing : -EIO;
	while (length) {
		ssize_t done = write_zeroes_once(file->fd, at, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		at += (uint64_t)done;
		length -= (uint64_t)done;
	}
	return 0;
}

static int zero_quickly_in_file(
	struct file_device *file, const struct nbdt_request *request, uint64_t at)
{
	int result = -EOPNOTSUPP;

	if (!file->keep_allocated && !(request->flags & NBDT_REQUEST_NO_HOLE))
		result = try_mode(file->fd, FALLOC_FL_PUNCH_HOLE, at, request->length,
			&file->no_punch);
	if (result == -EOPNOTSUPP)
		result = try_mode(file->fd, FALLOC_FL_ZERO_RANGE, at, request->length,
			&file->no_zero_range);
	return result;
}

/*
 * On a block device either mode becomes a command of the device, or else EOPNOTSUPP: PUNCH_HOLE
 * never falls back to writing (block/fops.c, blkdev_fallocate()), ZERO_RANGE does, in the kernel.
 */
static int zero_quickly_on_disk(
	struct file_device *file, const struct nbdt_request *request, uint64_t at)
{
	bool fast = request->flags & NBDT_REQUEST_FAST_ZERO;
	bool no_hole = file->keep_allocated || request->flags & NBDT_REQUEST_NO_HOLE;
	int result = -EOPNOTSUPP;

	if ((at | request->length) % file->sector)
		return -EOPNOTSUPP;
	if (!no_hole)
		result = try_mode(file->fd, FALLOC_FL_PUNCH_HOLE, at, request->length,
			&file->no_punch);
	if (result == -EOPNOTSUPP && !fast)
		result = try_mode(file->fd, FALLOC_FL_ZERO_RANGE, at, request->length,
			&file->no_zero_range);
	return result;
}

int file_device_zero(struct nbdt_device *device, struct nbdt_request *request)
{
	struct file_device *file = (struct file_device *)device;
	uint64_t at = file->offset + request->offset;
	int result;

	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	if (file->block_device)
		result = zero_quickly_on_disk(file, request, at);
	else
		result = zero_quickly_in_file(file, request, at);
	if (result == -EOPNOTSUPP) {
		if (request->flags & NBDT_REQUEST_FAST_ZERO)
			return -ENOTSUP;
		result = write_zeroes(file, at, request->length);
	}
	file_device_forget_data(file, at, at + request->length);
	return make_persistent(file, request, result);
}
