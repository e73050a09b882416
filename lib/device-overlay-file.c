/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device-overlay.h"

static const char magic[8] = "NBDTOVL1";

/* Little-endian on the disk. */
struct overlay_header {
	char magic[sizeof(magic)];
	uint64_t cluster; /* bytes */
	uint64_t size;    /* of the base, bytes */
	uint64_t version; /* of the base, as struct nbdt_device has it */
};

int overlay_read_file(int fd, void *buffer, uint64_t length, uint64_t offset)
{
	unsigned char *to = buffer;

	while (length) {
		ssize_t got = pread(fd, to, length, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got) {
			memset(to, 0, length);
			return 0;
		}
		to += got;
		offset += (uint64_t)got;
		length -= (uint64_t)got;
	}
	return 0;
}

int overlay_write_file(int fd, const void *buffer, uint64_t length, uint64_t offset)
{
	const unsigned char *from = buffer;

	while (length) {
		ssize_t done = pwrite(fd, from, length, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		from += done;
		offset += (uint64_t)done;
		length -= (uint64_t)done;
	}
	return 0;
}

static void set_geometry(struct overlay *overlay)
{
	uint64_t size = nbdt_device_size(overlay->base);

	overlay->clusters = size / OVERLAY_CLUSTER + (size % OVERLAY_CLUSTER != 0);
	overlay->words = overlay->clusters / 64 + (overlay->clusters % 64 != 0);
	uint64_t before = OVERLAY_HEADER + overlay->words * 8;
	overlay->data_start = (before + OVERLAY_CLUSTER - 1) / OVERLAY_CLUSTER * OVERLAY_CLUSTER;
}

static int write_header(const struct overlay *overlay)
{
	struct overlay_header header = {
		.cluster = htole64(OVERLAY_CLUSTER),
		.size = htole64(nbdt_device_size(overlay->base)),
		.version = htole64(overlay->base->version),
	};

	memcpy(header.magic, magic, sizeof(magic));
	return overlay_write_file(overlay->fd, &header, sizeof(header), 0);
}

static int check_header(const struct overlay *overlay, const char *path, struct nbdt_error *err)
{
	uint64_t size = nbdt_device_size(overlay->base);
	struct overlay_header header;

	int result = overlay_read_file(overlay->fd, &header, sizeof(header), 0);
	if (result)
		return nbdt_error_errno(err, result, "%s", path);
	if (memcmp(header.magic, magic, sizeof(magic)) != 0 ||
		le64toh(header.cluster) != OVERLAY_CLUSTER)
		return nbdt_error_set(err, -EINVAL,
			"%s is not an overlay of ours; it is left as it is", path);
	if (le64toh(header.size) != size)
		return nbdt_error_set(err, -ESTALE,
			"%s is an overlay for %" PRIu64
			" bytes, but what lies under it has %" PRIu64,
			path, le64toh(header.size), size);
	if (le64toh(header.version) != overlay->base->version)
		return nbdt_error_set(err, -ESTALE,
			"%s is an overlay for another file, or for this one before it was changed,"
			" or for another part of it: together they would be garbage (for a copy,"
			" keep the time of change, as cp -p does)",
			path);
	return 0;
}

static int read_bitmap(struct overlay *overlay)
{
	for (uint64_t i = 0; i < overlay->words; i++) {
		uint64_t word;
		int result = overlay_read_file(
			overlay->fd, &word, sizeof(word), OVERLAY_HEADER + i * sizeof(word));

		if (result)
			return result;
		atomic_init(&overlay->present[i], le64toh(word));
	}
	return 0;
}

/* The caller holds the lock, or is alone. */
static int write_bitmap(struct overlay *overlay)
{
	uint64_t words[512];

	for (uint64_t i = 0; i < overlay->words;) {
		uint64_t first = i;

		for (; i < overlay->words && i - first < 512; i++)
			words[i - first] = htole64(atomic_load(&overlay->present[i]));
		int result = overlay_write_file(overlay->fd, words, (i - first) * sizeof(words[0]),
			OVERLAY_HEADER + first * sizeof(words[0]));
		if (result)
			return result;
	}
	return 0;
}

/*
 * Bits that are set meanwhile would have data that is not persistent yet, and a bitmap that knows
 * of them promise too much: nobody sets one while the caller has the lock, and their data come
 * first.
 */
static int sync_bitmap(struct overlay *overlay)
{
	int result = fdatasync(overlay->fd) ? -errno : write_bitmap(overlay);

	if (!result && fdatasync(overlay->fd))
		result = -errno;
	overlay->bitmap_dirty = result != 0;
	return result;
}

int overlay_sync(struct overlay *overlay)
{
	if (overlay->volatile_only)
		return 0;
	if (fdatasync(overlay->fd))
		return -errno;
	pthread_mutex_lock(&overlay->lock);
	/*
	 * Asked under the lock, as another thread may be about to write the bitmap that knows of
	 * what this one has to make persistent.
	 */
	int result = overlay->bitmap_dirty ? sync_bitmap(overlay) : 0;
	pthread_mutex_unlock(&overlay->lock);
	return result;
}

/* An empty file becomes an overlay; any other must be one already. */
static int open_named(struct overlay *overlay, const char *path, bool *fresh,
	struct nbdt_error *err)
{
	struct stat status;

	overlay->fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (overlay->fd < 0 || fstat(overlay->fd, &status))
		return nbdt_error_errno(err, -errno, "%s", path);
	if (!S_ISREG(status.st_mode))
		return nbdt_error_set(err, -EINVAL, "%s: an overlay must be a regular file", path);
	if (flock(overlay->fd, LOCK_EX | LOCK_NB))
		return nbdt_error_set(err, -EBUSY, "%s is the overlay of another device", path);
	*fresh = !status.st_size;
	return *fresh ? 0 : check_header(overlay, path, err);
}

int overlay_open_file(struct overlay *overlay, const char *path, struct nbdt_error *err)
{
	bool fresh = true;
	int result = 0;

	set_geometry(overlay);
	overlay->present = calloc(overlay->words ? overlay->words : 1, sizeof(overlay->present[0]));
	if (!overlay->present)
		return nbdt_error_errno(err, -ENOMEM, "overlay");
	overlay->volatile_only = !path;
	if (path) {
		result = open_named(overlay, path, &fresh, err);
	} else {
		overlay->fd = memfd_create("nbd-overlay", MFD_CLOEXEC);
		if (overlay->fd < 0)
			result = nbdt_error_errno(err, -errno, "overlay");
	}
	if (result)
		return result;
	if (!path)
		path = "overlay";
	result = fresh ? write_header(overlay) : read_bitmap(overlay);
	if (!result && fresh && !overlay->volatile_only && fdatasync(overlay->fd))
		result = -errno;
	return result ? nbdt_error_errno(err, result, "%s", path) : 0;
}
