/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out requests on the device, at once or later. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "server-connection.h"

/* Coarse: a few milliseconds matter to nobody who asks, and it costs next to nothing. */
static int_fast64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int_fast64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void queue_reply(struct slot *slot, int result)
{
	atomic_store_explicit(&slot->start, 0, memory_order_relaxed);
	reply_build(slot, result);
	reply_queue_add(slot);
}

static bool writes(const struct slot *slot)
{
	return slot->wire.type == NBD_CMD_WRITE || slot->wire.type == NBD_CMD_TRIM
	       || slot->wire.type == NBD_CMD_WRITE_ZEROES;
}

static int operate(struct nbdt_device *device, struct slot *slot)
{
	const struct nbdt_device_ops *ops = device->ops;

	if (nbdt_device_fails_writes(device) && writes(slot))
		return -EPERM;
	switch (slot->wire.type) {
	case NBD_CMD_READ:
		return ops->pread(device, &slot->request);
	case NBD_CMD_WRITE:
		return ops->pwrite(device, &slot->request);
	case NBD_CMD_FLUSH:
		return ops->flush(device, &slot->request);
	case NBD_CMD_TRIM:
		return ops->trim(device, &slot->request);
	case NBD_CMD_WRITE_ZEROES:
		return ops->zero(device, &slot->request);
	case NBD_CMD_CACHE:
		return ops->cache(device, &slot->request);
	case NBD_CMD_BLOCK_STATUS:
		return slot_find_status(slot);
	default:
		return -EINVAL;
	}
}

/*
 * Called from any thread. All is done under the lock, so that the connection cannot go away
 * before this has finished.
 */
static void complete(struct nbdt_request *request, int result)
{
	struct slot *slot = (struct slot *)request;
	struct connection *connection = slot->connection;

	pthread_mutex_lock(&connection->done_lock);
	slot->result = result;
	slot->next = connection->done;
	connection->done = slot;
	if (!slot->next)
		eventfd_write(connection->done_fd, 1);
	pthread_mutex_unlock(&connection->done_lock);
}

/* One step of a request: what it asks for, or the flush after that. */
static int run_step(struct slot *slot)
{
	struct nbdt_device *device = slot->connection->device;

	return slot->flushing ? device->ops->flush(device, &slot->request) : operate(device, slot);
}

static bool has_input(const struct connection *connection)
{
	struct pollfd input = { .fd = connection->transport->fd, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

/* Nobody else has to wait if it takes long. To ask the socket is worth it only for what does. */
static bool is_alone(const struct slot *slot)
{
	const struct connection *connection = slot->connection;

	if (connection->used > 1 || connection->begin != connection->end)
		return false;
	return slot->wire.payload < LARGE_PAYLOAD || !has_input(connection);
}

/*
 * What has to wait for storage, and would keep other requests waiting, is left to another thread.
 */
static int start_step(struct slot *slot)
{
	struct connection *connection = slot->connection;
	const unsigned int nowait = NBDT_REQUEST_NOWAIT;

	if (is_alone(slot))
		return run_step(slot);
	slot->request.flags |= nowait;
	int result = run_step(slot);
	slot->request.flags &= ~nowait;
	if (result != -EAGAIN)
		return result;
	return workers_submit(connection->workers, slot) ? NBDT_PENDING : run_step(slot);
}

void slot_work(struct slot *slot)
{
	int result = run_step(slot);

	if (result != NBDT_PENDING)
		complete(&slot->request, result);
}

/* Goes on after a step of a request: with the flush that FUA still needs, or to the reply. */
static void finish_step(struct slot *slot, int result)
{
	struct connection *connection = slot->connection;

	if (!result && slot->flush_after) {
		slot->flush_after = false;
		slot->flushing = true;
		result = start_step(slot);
	}
	if (result == NBDT_PENDING)
		connection->pending++;
	else
		queue_reply(slot, result);
}

void connection_collect(struct connection *connection)
{
	if (!connection->pending)
		return;
	pthread_mutex_lock(&connection->done_lock);
	struct slot *done = connection->done;
	connection->done = NULL;
	pthread_mutex_unlock(&connection->done_lock);
	while (done) {
		struct slot *slot = done;

		done = slot->next;
		connection->pending--;
		finish_step(slot, slot->result);
	}
}

static bool needs_flush(const struct nbdt_device *device, const struct slot *slot)
{
	return !device->can_fua && slot->wire.flags & NBD_CMD_FLAG_FUA && writes(slot);
}

static bool is_hole(struct slot *slot)
{
	return slot->wire.type == NBD_CMD_READ && slot->connection->rules.style != STYLE_SIMPLE
	       && slot_find_holes(slot);
}

void slot_execute(struct slot *slot)
{
	struct nbdt_device *device = slot->connection->device;
	struct nbdt_request *request = &slot->request;

	/* What an empty range means is undefined on the wire: devices are spared it. */
	if ((!slot->wire.length && slot->wire.type != NBD_CMD_FLUSH) || is_hole(slot)) {
		queue_reply(slot, 0);
		return;
	}
	request->offset = slot->wire.offset;
	request->length = slot->wire.length;
	request->flags = request_device_flags(&slot->wire);
	request->complete = complete;
	slot->flush_after = needs_flush(device, slot);
	if (slot->flush_after)
		request->flags &= ~(unsigned int)NBDT_REQUEST_FUA;
	atomic_store_explicit(&slot->start, now_milliseconds(), memory_order_relaxed);
	finish_step(slot, start_step(slot));
}

void slot_refuse(struct slot *slot, int result)
{
	queue_reply(slot, result);
}

unsigned int connection_oldest_request(struct connection *connection)
{
	int_fast64_t now = now_milliseconds();
	int_fast64_t oldest = 0;

	for (size_t i = 0; i < CONNECTION_SLOTS; i++) {
		int_fast64_t start = atomic_load_explicit(
			&connection->slots[i].start, memory_order_relaxed);

		if (start && now - start > oldest)
			oldest = now - start;
	}
	return oldest < UINT32_MAX ? (unsigned int)oldest : UINT32_MAX;
}
