/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of replies: many of them go out in one system call. */
#include <errno.h>
#include <sys/uio.h>

#include "server-connection.h"

#define VECTORS 128 /* two for each part of a reply */

void reply_queue_add(struct slot *slot)
{
	struct reply_queue *queue = &slot->connection->replies;

	slot->next = NULL;
	*queue->last = slot;
	queue->last = &slot->next;
	queue->bytes += slot->reply_size;
}

static void add_bytes(
	struct iovec *vector, int *count, const void *data, size_t length, size_t *skip)
{
	size_t skipped = *skip < length ? *skip : length;

	*skip -= skipped;
	if (skipped == length)
		return;
	vector[*count].iov_base = (unsigned char *)(uintptr_t)data + skipped;
	vector[*count].iov_len = length - skipped;
	++*count;
}

static int gather(const struct reply_queue *queue, struct iovec *vector)
{
	size_t skip = queue->sent;
	int count = 0;

	for (const struct slot *slot = queue->first; slot; slot = slot->next) {
		for (size_t i = 0; i < slot->part_count; i++) {
			const struct reply_part *part = &slot->parts[i];

			if (count > VECTORS - 2)
				return count;
			add_bytes(vector, &count, part->head, part->head_length, &skip);
			add_bytes(vector, &count, part->data, part->data_length, &skip);
		}
	}
	return count;
}

/* Frees the slots of the replies that are out by now. */
static void advance(struct reply_queue *queue, size_t sent)
{
	queue->sent += sent;
	while (queue->first && queue->sent >= queue->first->reply_size) {
		struct slot *slot = queue->first;

		queue->sent -= slot->reply_size;
		queue->bytes -= slot->reply_size;
		queue->first = slot->next;
		if (!queue->first)
			queue->last = &queue->first;
		slot_put(slot);
	}
}

int reply_queue_send(struct connection *connection)
{
	struct reply_queue *queue = &connection->replies;
	struct transport *transport = connection->transport;
	struct iovec vector[VECTORS];

	while (queue->first) {
		int count = gather(queue, vector);
		ssize_t sent = transport->ops->send(transport, vector, count);
		if (sent == -EAGAIN)
			return 0;
		if (sent < 0)
			return (int)sent;
		advance(queue, (size_t)sent);
	}
	return 0;
}
