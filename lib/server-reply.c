/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of replies: many of them go out in one system call. */
#include <errno.h>
#include <sys/uio.h>

#include "server-connection.h"

#define REPLIES_AT_ONCE 64 /* two parts each */

static size_t reply_size(const struct slot *slot)
{
	return sizeof(slot->reply) + slot->data_length;
}

void reply_queue_add(struct slot *slot)
{
	struct reply_queue *queue = &slot->connection->replies;

	slot->next = NULL;
	*queue->last = slot;
	queue->last = &slot->next;
	queue->bytes += reply_size(slot);
}

static void add_part(struct iovec *vector, int *count, void *data, size_t length, size_t *skip)
{
	size_t skipped = *skip < length ? *skip : length;

	*skip -= skipped;
	if (skipped == length)
		return;
	vector[*count].iov_base = (unsigned char *)data + skipped;
	vector[*count].iov_len = length - skipped;
	++*count;
}

static int gather(const struct reply_queue *queue, struct iovec *vector)
{
	struct slot *slot = queue->first;
	size_t skip = queue->sent;
	int count = 0;

	for (int replies = 0; slot && replies < REPLIES_AT_ONCE; replies++) {
		add_part(vector, &count, &slot->reply, sizeof(slot->reply), &skip);
		add_part(vector, &count, slot->request.buffer, slot->data_length, &skip);
		slot = slot->next;
	}
	return count;
}

/* Frees the slots of the replies that are out by now. */
static void advance(struct reply_queue *queue, size_t sent)
{
	queue->sent += sent;
	while (queue->first && queue->sent >= reply_size(queue->first)) {
		struct slot *slot = queue->first;

		queue->sent -= reply_size(slot);
		queue->bytes -= reply_size(slot);
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
	struct iovec vector[2 * REPLIES_AT_ONCE];

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
