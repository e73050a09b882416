/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on a file or block device: reading, writing, flushing. device-file-zero.c has trim and
 * zero, device-file-extents.c the holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device-file-extents.h"
#include "device-file-zero.h"
#include "device-file.h"

#define CACHE_MAXIMUM NBDT_MAX_PAYLOAD /* bytes read ahead for one request */
#define LARGE_WRITE (256u * 1024)      /* bytes */

static struct file_device *to_file(const struct nbdt_device *device)
{
	return (struct file_device *)device;
}

/*
 * O_DIRECT takes whole sectors only. A client that knows nothing of block sizes may send
 * anything, which then goes through the page cache; the kernel keeps both views coherent.
 */
static int choose_fd(const struct file_device *file, uint64_t offset, uint64_t length)
{
	if (file->direct_fd >= 0 && (offset | length) % file->direct_align == 0)
		return file->direct_fd;
	return file->fd;
}

/* A read that is not done at once has done nothing, as far as the caller is concerned. */
static int read_nowait(
	struct file_device *file, int fd, const struct nbdt_request *request, off_t at)
{
	struct iovec vector = { .iov_base = request->buffer, .iov_len = request->length };

	/* Direct I/O would not wait before it is submitted, but then for all of it. */
	if (fd == file->direct_fd || atomic_load_explicit(&file->no_nowait, memory_order_relaxed))
		return -EAGAIN;
	ssize_t done = preadv2(fd, &vector, 1, at, RWF_NOWAIT);
	if (done >= 0)
		return (uint64_t)done == request->length ? 0 : -EAGAIN;
	if (errno == EOPNOTSUPP)
		atomic_store_explicit(&file->no_nowait, true, memory_order_relaxed);
	return errno == EOPNOTSUPP || errno == EINTR ? -EAGAIN : -errno;
}

static int file_pread(struct nbdt_device *device, struct nbdt_request *request)
{
	struct file_device *file = to_file(device);
	unsigned char *to = request->buffer;
	uint64_t left = request->length;
	off_t at = (off_t)(file->offset + request->offset);
	int fd = choose_fd(file, (uint64_t)at, left);

	if (request->flags & NBDT_REQUEST_NOWAIT && !file->in_memory)
		return read_nowait(file, fd, request, at);
	while (left) {
		ssize_t done = pread(fd, to, left, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		/* The file was truncated under us: that range is lost, the rest still works. */
		if (done == 0)
			return -EIO;
		to += done;
		at += done;
		left -= (uint64_t)done;
		/* A short direct read leaves an unaligned rest. */
		fd = choose_fd(file, (uint64_t)at, left);
	}
	return 0;
}

/*
 * The page cache takes a small write without waiting, as a rule, but filesystems do not say so:
 * most refuse RWF_NOWAIT. A large one is better copied while others are received.
 */
static bool would_wait(
	const struct file_device *file, int fd, const struct nbdt_request *request)
{
	return fd == file->direct_fd || request->flags & NBDT_REQUEST_FUA
	       || request->length >= LARGE_WRITE;
}

static int file_pwrite(struct nbdt_device *device, struct nbdt_request *request)
{
	struct file_device *file = to_file(device);
	struct iovec left = { .iov_base = request->buffer, .iov_len = request->length };
	off_t at = (off_t)(file->offset + request->offset);
	int flags = request->flags & NBDT_REQUEST_FUA ? RWF_DSYNC : 0;
	int fd = choose_fd(file, (uint64_t)at, left.iov_len);

	if (request->flags & NBDT_REQUEST_NOWAIT && would_wait(file, fd, request))
		return -EAGAIN;
	while (left.iov_len) {
		ssize_t done = pwritev2(fd, &left, 1, at, flags);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EOPNOTSUPP && flags) {
			flags = 0;
			continue;
		}
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		left.iov_base = (unsigned char *)left.iov_base + done;
		left.iov_len -= (size_t)done;
		at += done;
		fd = choose_fd(file, (uint64_t)at, left.iov_len);
	}
	if (request->flags & NBDT_REQUEST_FUA && !flags)
		return fdatasync(fd) ? -errno : 0;
	return 0;
}

static int file_flush(struct nbdt_device *device, struct nbdt_request *request)
{
	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	return fdatasync(to_file(device)->fd) ? -errno : 0;
}

/*
 * Starts reading ahead, if only a part: the specification allows it to do nothing (NBD_CMD_CACHE),
 * and of a range without bound the kernel would take all into memory, holes included.
 */
static int file_cache(struct nbdt_device *device, struct nbdt_request *request)
{
	struct file_device *file = to_file(device);
	uint64_t length = request->length < CACHE_MAXIMUM ? request->length : CACHE_MAXIMUM;

	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	if (file->direct_fd < 0)
		posix_fadvise(file->fd, (off_t)(file->offset + request->offset),
			(off_t)length, POSIX_FADV_WILLNEED);
	return 0;
}

static int file_direct(struct nbdt_device *device, uint64_t offset, uint64_t length,
	struct nbdt_direct *direct)
{
	struct file_device *file = to_file(device);

	(void)length;
	if (file->direct_fd >= 0)
		return -EOPNOTSUPP;
	direct->fd = file->fd;
	direct->offset = file->offset + offset;
	return 0;
}

int64_t file_device_backing_size(int fd, bool block_device)
{
	struct stat stat;
	uint64_t bytes;

	if (block_device) {
		if (ioctl(fd, BLKGETSIZE64, &bytes))
			return -errno;
		return bytes <= INT64_MAX ? (int64_t)bytes : -EFBIG;
	}
	if (fstat(fd, &stat))
		return -errno;
	return stat.st_size;
}

uint64_t file_device_usable_size(const struct file_device *file, uint64_t backing, uint64_t *lost)
{
	uint64_t size = backing > file->offset ? backing - file->offset : 0;

	if (file->size_limit && size > file->size_limit)
		size = file->size_limit;
	*lost = size % file->rounding;
	return size - *lost;
}

static int file_resize(struct nbdt_device *device, struct nbdt_error *err)
{
	struct file_device *file = to_file(device);
	uint64_t lost;

	int64_t backing = file_device_backing_size(file->fd, file->block_device);
	if (backing < 0)
		return nbdt_error_errno(err, (int)backing, "cannot read the size of the image");
	uint64_t size = file_device_usable_size(file, (uint64_t)backing, &lost);
	if (!size)
		return nbdt_error_set(err, -ENODATA,
			"nothing of the image is left: the device keeps its old size");
	__atomic_store_n(&device->size, size, __ATOMIC_RELEASE);
	return 0;
}

static void file_close(struct nbdt_device *device)
{
	struct file_device *file = to_file(device);

	if (file->direct_fd >= 0)
		close(file->direct_fd);
	close(file->fd);
	free(file);
}

const struct nbdt_device_ops file_device_ops = {
	.name = "file",
	.pread = file_pread,
	.pwrite = file_pwrite,
	.flush = file_flush,
	.trim = file_device_trim,
	.zero = file_device_zero,
	.cache = file_cache,
	.extents = file_device_extents,
	.direct = file_direct,
	.resize = file_resize,
	.close = file_close,
};
