/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a file or block device as a device, and finding out what it can do. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backoff.h"
#include "cleanup.h"
#include "device-file.h"

#define PASSING_CLAIM 500 /* milliseconds that others may hold a block device for a look */
#define DEFAULT_BLOCK_SIZE 512u
#define PREFERRED_MINIMUM 4096u
#define PREFERRED_MAXIMUM (64u * 1024)
#define ALIGNMENT_MAXIMUM (64u * 1024) /* of the protocol ("Block size constraints") */

static int refuse_type(const char *path, mode_t mode, struct nbdt_error *err)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	if (S_ISDIR(mode))
		return nbdt_error_errno(err, -EISDIR, "%s", path);
	return nbdt_error_set(
		err, -ENOTBLK, "%s: neither a regular file nor a block device", path);
}

/*
 * Opens without waiting, since the path may have become a fifo since it was looked at. The flag
 * goes again: io_uring gives EAGAIN on descriptors that have it.
 */
static int open_as(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETFL, flags & O_DIRECT)) {
		int result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

/* Opens for writing, or else for reading where only that is allowed. Returns a descriptor. */
static int open_path(const char *path, int exclusive, bool *read_only)
{
	if (!*read_only) {
		int fd = open_as(path, O_RDWR | exclusive);
		if (fd != -EACCES && fd != -EPERM && fd != -EROFS)
			return fd;
		int reading = open_as(path, O_RDONLY);
		if (reading < 0)
			return fd;
		*read_only = true;
		return reading;
	}
	return open_as(path, O_RDONLY);
}

static int refuse_busy(const char *path, dev_t number, struct nbdt_error *err)
{
	char users[320];

	if (nbdt_block_users(major(number), minor(number), users, sizeof(users)))
		return nbdt_error_set(err, -EBUSY, "%s is in use: %s", path, users);
	return nbdt_error_set(err, -EBUSY,
		"%s is in use by a program, or mounted in another mount namespace", path);
}

/*
 * A block device that is written must not change under a filesystem, and no filesystem come upon
 * it: O_EXCL, as mount(2) has it, keeps both away. LVM and mdadm look at devices that way too.
 */
static int open_claimed(const char *path, const struct stat *stat, bool share, bool *read_only,
	struct nbdt_error *err)
{
	struct backoff backoff = backoff_start(PASSING_CLAIM);
	int exclusive = S_ISBLK(stat->st_mode) && !share ? O_EXCL : 0;
	int fd;

	do
		fd = open_path(path, exclusive, read_only);
	while (fd == -EBUSY && backoff_sleep(&backoff));
	if (fd == -EBUSY && S_ISBLK(stat->st_mode))
		return refuse_busy(path, stat->st_rdev, err);
	return fd < 0 ? nbdt_error_errno(err, fd, "%s", path) : fd;
}

/*
 * The type is checked before the open, which has effects on some devices (tapes, watchdogs), and
 * again after it.
 */
static int open_backing(const char *path, bool share, bool *read_only, struct stat *stat_after,
	struct nbdt_error *err)
{
	struct stat before;

	if (stat(path, &before))
		return nbdt_error_errno(err, -errno, "%s", path);
	int result = refuse_type(path, before.st_mode, err);
	if (result)
		return result;
	int fd = open_claimed(path, &before, share, read_only, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, stat_after))
		result = nbdt_error_errno(err, -errno, "%s", path);
	else if (S_ISBLK(before.st_mode) != S_ISBLK(stat_after->st_mode))
		result = nbdt_error_set(err, -ESTALE, "%s: was replaced while it was opened", path);
	else
		result = refuse_type(path, stat_after->st_mode, err);
	if (result) {
		close(fd);
		return result;
	}
	return fd;
}

/*
 * Reads a number from the queue folder of a disk's sysfs entry; that of a partition is its
 * parent's. -1: there is none.
 */
static long long read_queue_number(dev_t dev, const char *name)
{
	static const char *const parents[] = { "", "/.." };
	char path[128];
	char text[32];

	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/queue/%s", major(dev),
			minor(dev), parents[i], name);
		CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ssize_t length = read(fd, text, sizeof(text) - 1);
		if (length <= 0)
			continue;
		text[length] = '\0';
		return strtoll(text, NULL, 10);
	}
	return -1;
}

/*
 * Alignment for O_DIRECT: as the kernel says (statx since 6.1), or the logical sector, or by
 * trying. Reading changes nothing.
 */
static uint32_t find_alignment(int fd, const struct file_device *file)
{
#ifdef STATX_DIOALIGN
	struct statx statx_buffer;

	if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &statx_buffer) &&
		statx_buffer.stx_mask & STATX_DIOALIGN && statx_buffer.stx_dio_offset_align)
		return statx_buffer.stx_dio_offset_align;
#endif
	if (file->block_device)
		return file->sector;
	void *page = NULL;
	if (posix_memalign(&page, 4096, 4096))
		return 4096;
	ssize_t length = pread(fd, page, 512, 0);
	free(page);
	return length < 0 ? 4096 : 512;
}

/* A second descriptor for the same file, since what is not aligned must go another way. */
static int open_direct(struct file_device *file, const char *path, const struct stat *stat,
	struct nbdt_error *err)
{
	struct stat again;
	int flags = (file->device.read_only ? O_RDONLY : O_RDWR) | O_DIRECT;

	file->direct_fd = open_as(path, flags);
	if (file->direct_fd == -EINVAL)
		return nbdt_error_set(err, -EINVAL,
			"%s: its filesystem has no direct I/O: leave the option out", path);
	if (file->direct_fd < 0)
		return nbdt_error_errno(err, file->direct_fd, "%s", path);
	if (fstat(file->direct_fd, &again) || again.st_dev != stat->st_dev ||
		again.st_ino != stat->st_ino)
		return nbdt_error_set(err, -ESTALE, "%s: was replaced while it was opened", path);
	file->direct_align = find_alignment(file->direct_fd, file);
	if (file->direct_align > ALIGNMENT_MAXIMUM || file->offset % file->direct_align)
		return nbdt_error_set(err, -EINVAL,
			"%s: direct I/O needs an offset that is a multiple of %u", path,
			file->direct_align);
	return 0;
}

/*
 * Whether holes can be punched: asked behind the end of the file, where there is nothing to harm.
 * Each filesystem refuses the mode before it looks at the range.
 */
static bool file_can_punch(int fd, int64_t backing)
{
	const off_t step = (off_t)1024 * 1024;

	if (backing > INT64_MAX - 4 * step)
		return false;
	off_t behind = ((off_t)backing / step + 2) * step;
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, behind, 4096);
}

static void find_abilities(struct file_device *file, const struct nbdt_file_options *options,
	const struct stat *stat, int64_t backing)
{
	bool trim, fast_zero;

	if (file->device.read_only)
		return;
	if (file->block_device) {
		trim = read_queue_number(stat->st_rdev, "discard_max_bytes") > 0;
		fast_zero = read_queue_number(stat->st_rdev, "write_zeroes_max_bytes") > 0;
	} else {
		trim = fast_zero = file_can_punch(file->fd, backing);
	}
	if (!fast_zero)
		file->no_punch = true;
	if (!trim || options->ignore_trim)
		file->ops.trim = NULL;
	file->keep_allocated = options->ignore_trim;
	file->device.can_fast_zero = fast_zero && !options->ignore_trim;
}

/* The largest power of two that is not over VALUE, within the limits. */
static uint32_t preferred_size(uint64_t value, uint32_t minimum)
{
	uint32_t size = PREFERRED_MINIMUM;

	while (size < PREFERRED_MAXIMUM && (uint64_t)size * 2 <= value)
		size *= 2;
	return size > minimum ? size : minimum;
}

static bool lies_in_memory(int fd)
{
	struct statfs statfs;

	return !fstatfs(fd, &statfs)
	       && (statfs.f_type == TMPFS_MAGIC || statfs.f_type == RAMFS_MAGIC);
}

static void set_limits(struct file_device *file, const struct stat *stat)
{
	struct nbdt_device *device = &file->device;

	device->block_minimum = file->direct_fd >= 0 ? file->direct_align : 1;
	device->block_preferred = preferred_size((uint64_t)stat->st_blksize, device->block_minimum);
	device->block_maximum = NBDT_MAX_PAYLOAD;
	device->can_fua = true;
	/* One page cache, and one descriptor that fdatasync() is called on. */
	device->can_multi_conn = true;
	/* A file is on the medium of its filesystem; where that has several, nobody can tell. */
	device->rotational = read_queue_number(file->block_device ? stat->st_rdev : stat->st_dev,
				     "rotational") == 1;
}

static int set_size(struct file_device *file, const char *path, int64_t backing, uint64_t *lost,
	struct nbdt_error *err)
{
	file->device.size = file_device_usable_size(file, (uint64_t)backing, lost);
	if (file->device.size)
		return 0;
	if (backing == 0)
		return nbdt_error_set(err, -ENODATA, "%s: is empty", path);
	if (file->offset >= (uint64_t)backing)
		return nbdt_error_set(err, -ENODATA, "%s: the offset is not inside the file", path);
	return nbdt_error_set(err, -ENODATA, "%s: has less than one block of %u bytes", path,
		file->rounding);
}

/* In nanoseconds; 0 for a block device, whose node is not changed with it. */
static uint64_t time_of_change(const struct file_device *file, const struct stat *stat)
{
	uint64_t seconds = (uint64_t)stat->st_mtim.tv_sec;

	return file->block_device ? 0 : seconds * 1000000000 + (uint64_t)stat->st_mtim.tv_nsec;
}

static int check_options(const struct nbdt_file_options *options, struct nbdt_error *err)
{
	if (options->block_size & (options->block_size - 1))
		return nbdt_error_set(err, -EINVAL, "block size %u is not a power of two",
			options->block_size);
	if (options->offset > INT64_MAX || options->size_limit > INT64_MAX)
		return nbdt_error_set(err, -EINVAL, "offset or size limit is over 2^63 - 1");
	return 0;
}

static void fill_facts(const struct file_device *file, const struct nbdt_file_options *options,
	const struct stat *stat, uint64_t lost, struct nbdt_file_facts *facts)
{
	facts->dev = file->block_device ? stat->st_rdev : stat->st_dev;
	facts->ino = file->block_device ? 0 : stat->st_ino;
	facts->lost_bytes = lost;
	facts->read_only = file->device.read_only;
	facts->forced_read_only = file->device.read_only && !options->read_only;
	facts->block_device = file->block_device;
}

/* All that follows once the file is open. FILE has its options and descriptor. */
static int set_up(struct file_device *file, const char *path,
	const struct nbdt_file_options *options, const struct stat *stat,
	struct nbdt_file_facts *facts, struct nbdt_error *err)
{
	uint64_t lost;
	int sector = 512;

	if (file->block_device && !ioctl(file->fd, BLKSSZGET, &sector) && sector < 512)
		sector = 512;
	file->sector = (uint32_t)sector;
	int64_t backing = file_device_backing_size(file->fd, file->block_device);
	if (backing < 0)
		return nbdt_error_errno(err, (int)backing, "%s", path);
	int result = options->direct_io ? open_direct(file, path, stat, err) : 0;
	if (result)
		return result;
	if (file->direct_fd >= 0 && file->rounding < file->direct_align)
		file->rounding = file->direct_align;
	result = set_size(file, path, backing, &lost, err);
	if (result)
		return result;
	find_abilities(file, options, stat, backing);
	file->device.version = time_of_change(file, stat) + file->offset;
	set_limits(file, stat);
	file->in_memory = !file->block_device && lies_in_memory(file->fd);
	if (facts)
		fill_facts(file, options, stat, lost, facts);
	return 0;
}

int nbdt_device_open_file(const char *path, const struct nbdt_file_options *options,
	struct nbdt_device **device, struct nbdt_file_facts *facts, struct nbdt_error *err)
{
	const struct nbdt_file_options defaults = { 0 };
	struct stat stat = { 0 };

	if (!options)
		options = &defaults;
	int result = check_options(options, err);
	if (result)
		return result;
	struct file_device *file = calloc(1, sizeof(*file));
	if (!file)
		return nbdt_error_errno(err, -ENOMEM, "%s", path);
	file->ops = file_device_ops;
	file->device.ops = &file->ops;
	file->device.read_only = options->read_only;
	file->offset = options->offset;
	file->size_limit = options->size_limit;
	file->rounding = options->block_size ? options->block_size : DEFAULT_BLOCK_SIZE;
	file->direct_fd = -1;
	file->fd = open_backing(path, options->share, &file->device.read_only, &stat, err);
	if (file->fd < 0) {
		result = file->fd;
		free(file);
		return result;
	}
	file->block_device = S_ISBLK(stat.st_mode);
	result = set_up(file, path, options, &stat, facts, err);
	if (result) {
		nbdt_device_close(&file->device);
		return result;
	}
	*device = &file->device;
	return 0;
}
