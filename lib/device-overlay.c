/* SPDX-License-Identifier: Apache-2.0 */
/* A device that keeps what is written beside another one, which stays as it is (copy on write). */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device-overlay.h"

static const unsigned char zeroes[OVERLAY_CLUSTER];

static struct overlay *to_overlay(struct nbdt_device *device)
{
	return (struct overlay *)device;
}

bool overlay_has(const struct overlay *overlay, uint64_t cluster)
{
	uint64_t word = atomic_load_explicit(
		&overlay->present[cluster / 64], memory_order_acquire);

	return word >> (cluster % 64) & 1;
}

/* Under the lock. */
static void set_present(struct overlay *overlay, uint64_t cluster, uint64_t count)
{
	while (count) {
		uint64_t bit = cluster % 64;
		uint64_t mask = UINT64_MAX << bit;
		uint64_t bits = 64 - bit;

		if (count < bits) {
			mask &= ~(UINT64_MAX << (bit + count));
			bits = count;
		}
		atomic_fetch_or_explicit(
			&overlay->present[cluster / 64], mask, memory_order_release);
		cluster += bits;
		count -= bits;
	}
	overlay->bitmap_dirty = true;
}

/* A part of a request that lies within one cluster, or is made of whole ones. */
struct piece {
	uint64_t cluster;
	uint64_t offset; /* in the device */
	uint64_t length;
	uint64_t done;   /* bytes of the request before it */
};

/* The next piece after PIECE, which begins as all zeroes. False: there is none. */
static bool next_piece(const struct nbdt_request *request, struct piece *piece)
{
	piece->done += piece->length;
	if (piece->done == request->length)
		return false;
	piece->offset = request->offset + piece->done;
	piece->cluster = piece->offset / OVERLAY_CLUSTER;
	piece->length = OVERLAY_CLUSTER - piece->offset % OVERLAY_CLUSTER;
	if (piece->length > request->length - piece->done)
		piece->length = request->length - piece->done;
	return true;
}

static uint64_t cluster_length(const struct overlay *overlay, uint64_t cluster)
{
	uint64_t left = overlay->device.size - cluster * OVERLAY_CLUSTER;

	return left < OVERLAY_CLUSTER ? left : OVERLAY_CLUSTER;
}

/* Whole clusters that have no data need not be gone through one by one. */
static void take_whole_clusters(
	const struct overlay *overlay, const struct nbdt_request *request, struct piece *piece)
{
	uint64_t left = request->length - piece->done;

	if (piece->offset % OVERLAY_CLUSTER)
		return;
	if (piece->offset + left < overlay->device.size)
		left -= left % OVERLAY_CLUSTER;
	if (left > piece->length)
		piece->length = left;
}

/* A request of our own, for whose end this thread waits. */
struct waiting {
	struct nbdt_request request;
	sem_t done;
	int result;
};

static void note_end(struct nbdt_request *request, int result)
{
	struct waiting *waiting = (struct waiting *)request;

	waiting->result = result;
	sem_post(&waiting->done);
}

static int read_base(struct overlay *overlay, void *buffer, uint64_t offset, uint64_t length,
	unsigned int flags)
{
	struct waiting waiting = {
		.request = {
			.offset = offset,
			.length = length,
			.buffer = buffer,
			.flags = flags,
			.complete = note_end,
		},
	};

	sem_init(&waiting.done, 0, 0);
	int result = overlay->base->ops->pread(overlay->base, &waiting.request);
	if (result == NBDT_PENDING) {
		while (sem_wait(&waiting.done))
			;
		result = waiting.result;
	}
	sem_destroy(&waiting.done);
	return result;
}

/* What is in memory need not be waited for. */
static int read_own(struct overlay *overlay, void *buffer, uint64_t offset, uint64_t length,
	unsigned int flags)
{
	struct iovec vector = { .iov_base = buffer, .iov_len = length };
	uint64_t at = overlay->data_start + offset;

	if (!flags || overlay->volatile_only)
		return overlay_read_file(overlay->fd, buffer, length, at);
	ssize_t got = preadv2(overlay->fd, &vector, 1, (off_t)at, RWF_NOWAIT);
	return got >= 0 && (uint64_t)got == length ? 0 : -EAGAIN;
}

static int overlay_pread(struct nbdt_device *device, struct nbdt_request *request)
{
	struct overlay *overlay = to_overlay(device);
	unsigned int flags = request->flags & NBDT_REQUEST_NOWAIT;
	struct piece piece = { 0 };
	int result = 0;

	while (!result && next_piece(request, &piece)) {
		unsigned char *to = (unsigned char *)request->buffer + piece.done;

		if (overlay_has(overlay, piece.cluster))
			result = read_own(overlay, to, piece.offset, piece.length, flags);
		else
			result = read_base(overlay, to, piece.offset, piece.length, flags);
	}
	return result;
}

/* Makes a cluster present, with its old data around what PIECE will replace. Under the lock. */
static int copy_up(struct overlay *overlay, const struct piece *piece)
{
	uint64_t start = piece->cluster * OVERLAY_CLUSTER;
	uint64_t length = cluster_length(overlay, piece->cluster);

	unsigned char *data = aligned_alloc(4096, OVERLAY_CLUSTER);
	if (!data)
		return -ENOMEM;
	int result = read_base(overlay, data, start, length, 0);
	if (!result)
		result = overlay_write_file(
			overlay->fd, data, length, overlay->data_start + start);
	free(data);
	return result;
}

/* DATA NULL: a hole, or zeroes where the filesystem has none. */
static int store(struct overlay *overlay, const struct piece *piece, const void *data)
{
	uint64_t at = overlay->data_start + piece->offset;
	int result = 0;

	if (data)
		return overlay_write_file(overlay->fd, data, piece->length, at);
	if (!fallocate(overlay->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
		    (off_t)piece->length))
		return 0;
	for (uint64_t done = 0; !result && done < piece->length; done += OVERLAY_CLUSTER) {
		uint64_t left = piece->length - done;

		result = overlay_write_file(overlay->fd, zeroes,
			left < OVERLAY_CLUSTER ? left : OVERLAY_CLUSTER, at + done);
	}
	return result;
}

static int write_piece(struct overlay *overlay, const struct piece *piece, const void *data)
{
	uint64_t count = (piece->length + OVERLAY_CLUSTER - 1) / OVERLAY_CLUSTER;
	int result = 0;

	if (count == 1 && overlay_has(overlay, piece->cluster))
		return store(overlay, piece, data);
	pthread_mutex_lock(&overlay->lock);
	if (!overlay_has(overlay, piece->cluster) &&
		piece->length < cluster_length(overlay, piece->cluster))
		result = copy_up(overlay, piece);
	if (!result)
		result = store(overlay, piece, data);
	if (!result)
		set_present(overlay, piece->cluster, count);
	pthread_mutex_unlock(&overlay->lock);
	return result;
}

static int finish_change(
	struct overlay *overlay, const struct nbdt_request *request, int result)
{
	return !result && request->flags & NBDT_REQUEST_FUA ? overlay_sync(overlay) : result;
}

/* The page cache takes what is small, as a rule, if nothing has to be copied first. */
static bool write_would_wait(const struct overlay *overlay, const struct nbdt_request *request)
{
	uint64_t last = request->offset + request->length - 1;

	return request->flags & NBDT_REQUEST_FUA || request->length > OVERLAY_CLUSTER
	       || !overlay_has(overlay, request->offset / OVERLAY_CLUSTER)
	       || !overlay_has(overlay, last / OVERLAY_CLUSTER);
}

static int overlay_pwrite(struct nbdt_device *device, struct nbdt_request *request)
{
	struct overlay *overlay = to_overlay(device);
	struct piece piece = { 0 };
	int result = 0;

	if (request->flags & NBDT_REQUEST_NOWAIT && write_would_wait(overlay, request))
		return -EAGAIN;
	while (!result && next_piece(request, &piece))
		result = write_piece(
			overlay, &piece, (unsigned char *)request->buffer + piece.done);
	return finish_change(overlay, request, result);
}

static int overlay_zero(struct nbdt_device *device, struct nbdt_request *request)
{
	struct overlay *overlay = to_overlay(device);
	bool no_hole = request->flags & NBDT_REQUEST_NO_HOLE;
	struct piece piece = { 0 };
	int result = 0;

	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	while (!result && next_piece(request, &piece)) {
		if (!no_hole)
			take_whole_clusters(overlay, request, &piece);
		result = write_piece(overlay, &piece, no_hole ? zeroes : NULL);
	}
	return finish_change(overlay, request, result);
}

/* What is trimmed reads as zeroes, so that the base does not shine through where data was. */
static int trim_piece(struct overlay *overlay, const struct piece *piece)
{
	bool whole = piece->length >= cluster_length(overlay, piece->cluster);

	/* A hint is not worth a copy of the rest of the cluster. */
	if (!whole && !overlay_has(overlay, piece->cluster))
		return 0;
	return write_piece(overlay, piece, NULL);
}

static int overlay_trim(struct nbdt_device *device, struct nbdt_request *request)
{
	struct overlay *overlay = to_overlay(device);
	struct piece piece = { 0 };
	int result = 0;

	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	while (!result && next_piece(request, &piece)) {
		take_whole_clusters(overlay, request, &piece);
		result = trim_piece(overlay, &piece);
	}
	return finish_change(overlay, request, result);
}

static int overlay_flush(struct nbdt_device *device, struct nbdt_request *request)
{
	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	return overlay_sync(to_overlay(device));
}

static void overlay_close(struct nbdt_device *device)
{
	struct overlay *overlay = to_overlay(device);

	overlay_sync(overlay);
	close(overlay->fd);
	nbdt_device_close(overlay->base);
	pthread_mutex_destroy(&overlay->lock);
	free(overlay->present);
	free(overlay);
}

static const struct nbdt_device_ops overlay_ops = {
	.name = "overlay",
	.pread = overlay_pread,
	.pwrite = overlay_pwrite,
	.flush = overlay_flush,
	.trim = overlay_trim,
	.zero = overlay_zero,
	.extents = overlay_extents,
	.close = overlay_close,
};

int nbdt_device_open_overlay(struct nbdt_device *base, const char *path,
	struct nbdt_device **device, struct nbdt_error *err)
{
	struct overlay *overlay = calloc(1, sizeof(*overlay));

	if (!overlay)
		return nbdt_error_errno(err, -ENOMEM, "overlay");
	overlay->base = base;
	overlay->fd = -1;
	int result = overlay_open_file(overlay, path, err);
	if (result) {
		if (overlay->fd >= 0)
			close(overlay->fd);
		free(overlay->present);
		free(overlay);
		return result;
	}
	pthread_mutex_init(&overlay->lock, NULL);
	overlay->device = (struct nbdt_device){
		.ops = &overlay_ops,
		.size = nbdt_device_size(base),
		.block_minimum = base->block_minimum,
		.block_preferred = base->block_preferred,
		.block_maximum = base->block_maximum,
		.rotational = base->rotational,
		.can_fua = true,
		.can_multi_conn = true,
		.version = base->version,
	};
	*device = &overlay->device;
	return 0;
}
