/* SPDX-License-Identifier: Apache-2.0 */
/* A part of another device, as a device. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "nbdtools.h"

struct window {
	struct nbdt_device device;
	struct nbdt_device_ops ops; /* those that the device under it has */
	struct nbdt_device *under;
	uint64_t offset; /* bytes: where it begins in the device under it */
	uint64_t limit;  /* bytes; 0: up to the end */
};

typedef int operation(struct nbdt_device *device, struct nbdt_request *request);

/* Whoever gets -EAGAIN may try again, with the offset that it had. */
static int forward(struct nbdt_device *device, struct nbdt_request *request, operation *operate)
{
	struct window *window = (struct window *)device;

	request->offset += window->offset;
	int result = operate(window->under, request);
	if (result != NBDT_PENDING)
		request->offset -= window->offset;
	return result;
}

static int window_pread(struct nbdt_device *device, struct nbdt_request *request)
{
	return forward(device, request, ((struct window *)device)->under->ops->pread);
}

static int window_pwrite(struct nbdt_device *device, struct nbdt_request *request)
{
	return forward(device, request, ((struct window *)device)->under->ops->pwrite);
}

static int window_flush(struct nbdt_device *device, struct nbdt_request *request)
{
	struct window *window = (struct window *)device;

	return window->under->ops->flush(window->under, request);
}

static int window_trim(struct nbdt_device *device, struct nbdt_request *request)
{
	return forward(device, request, ((struct window *)device)->under->ops->trim);
}

static int window_zero(struct nbdt_device *device, struct nbdt_request *request)
{
	return forward(device, request, ((struct window *)device)->under->ops->zero);
}

static int window_cache(struct nbdt_device *device, struct nbdt_request *request)
{
	return forward(device, request, ((struct window *)device)->under->ops->cache);
}

static int window_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	struct window *window = (struct window *)device;

	return window->under->ops->extents(
		window->under, window->offset + offset, length, flags, extents, count);
}

static int window_direct(struct nbdt_device *device, uint64_t offset, uint64_t length,
	struct nbdt_direct *direct)
{
	struct window *window = (struct window *)device;

	return window->under->ops->direct(window->under, window->offset + offset, length, direct);
}

/* What of the device under it lies in the window. */
static uint64_t visible_size(const struct window *window)
{
	uint64_t size = nbdt_device_size(window->under);

	size = size > window->offset ? size - window->offset : 0;
	return window->limit && size > window->limit ? window->limit : size;
}

static int window_resize(struct nbdt_device *device, struct nbdt_error *err)
{
	struct window *window = (struct window *)device;

	int result = window->under->ops->resize(window->under, err);
	if (result)
		return result;
	uint64_t size = visible_size(window);
	if (!size)
		return nbdt_error_set(err, -ENODATA,
			"nothing of the window is left: the device keeps its old size");
	__atomic_store_n(&device->size, size, __ATOMIC_RELEASE);
	return 0;
}

static void window_close(struct nbdt_device *device)
{
	nbdt_device_close(((struct window *)device)->under);
	free(device);
}

/* An operation that is NULL is not offered. */
static struct nbdt_device_ops choose_ops(const struct nbdt_device_ops *under)
{
	return (struct nbdt_device_ops){
		.name = "window",
		.pread = under->pread ? window_pread : NULL,
		.pwrite = under->pwrite ? window_pwrite : NULL,
		.flush = under->flush ? window_flush : NULL,
		.trim = under->trim ? window_trim : NULL,
		.zero = under->zero ? window_zero : NULL,
		.cache = under->cache ? window_cache : NULL,
		.extents = under->extents ? window_extents : NULL,
		.direct = under->direct ? window_direct : NULL,
		.resize = under->resize ? window_resize : NULL,
		.close = window_close,
	};
}

static int check_place(const struct nbdt_device *under, uint64_t offset, uint64_t size,
	struct nbdt_error *err)
{
	uint64_t there = nbdt_device_size(under);

	if (offset >= there || size > there - offset)
		return nbdt_error_set(err, -ENODATA,
			"a window of %" PRIu64 " bytes at %" PRIu64 " is not within the %" PRIu64
			" bytes of the device",
			size, offset, there);
	if ((offset | size) % under->block_minimum)
		return nbdt_error_set(err, -EINVAL,
			"offset and size of a window must be multiples of the device's %u bytes",
			under->block_minimum);
	return 0;
}

int nbdt_device_open_window(struct nbdt_device *under, uint64_t offset, uint64_t size,
	struct nbdt_device **device, struct nbdt_error *err)
{
	int result = check_place(under, offset, size, err);
	if (result)
		return result;
	struct window *window = calloc(1, sizeof(*window));
	if (!window)
		return nbdt_error_errno(err, -ENOMEM, "window");
	window->device = *under;
	window->ops = choose_ops(under->ops);
	window->device.ops = &window->ops;
	window->under = under;
	window->offset = offset;
	window->device.version += offset;
	window->limit = size;
	window->device.size = visible_size(window);
	*device = &window->device;
	return 0;
}
