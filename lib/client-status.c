/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NBD_CMD_BLOCK_STATUS: extents of metadata contexts, which are told as they are received, so that
 * memory does not grow with their number.
 */
#include <errno.h>
#include <string.h>

#include "client-transmission.h"
#include "wire.h"

/* "Servers SHOULD NOT send more than 2^20 extents in a single reply chunk". */
#define EXTENTS_MAXIMUM (UINT64_C(1) << 20)

static void tell_pending(struct nbdt_client *client, size_t which)
{
	struct client_transmission *transmission = client->transmission;
	struct client_status *status = &transmission->status.contexts[which];

	if (status->pending.length && !transmission->status.stopped)
		transmission->status.stopped = transmission->status.each(
			client->contexts.list[which].name, status->told - status->pending.length,
			&status->pending, transmission->status.arg);
	status->pending.length = 0;
}

/*
 * An extent at OFFSET, of which only what was not told yet matters. One that equals its neighbour
 * is merged with it. Returns where it ends, inside the range.
 */
static uint64_t take_extent(struct nbdt_client *client, size_t which, uint64_t offset,
	const struct nbdt_extent *extent)
{
	struct client_transmission *transmission = client->transmission;
	struct client_status *status = &transmission->status.contexts[which];
	uint64_t end = transmission->status.end;

	/* The last one may go beyond the range, and even beyond 2^64. */
	if (extent->length < end - offset)
		end = offset + extent->length;
	if (end <= status->told)
		return end;
	if (status->pending.length && status->pending.flags != extent->flags)
		tell_pending(client, which);
	status->pending.length += end - status->told;
	status->pending.flags = extent->flags;
	status->told = end;
	return end;
}

static size_t descriptor_size(const struct nbdt_client *client)
{
	return client->extended ? sizeof(struct nbd_block_descriptor_ext)
				: sizeof(struct nbd_block_descriptor);
}

static void decode(struct nbdt_extent *extent, const unsigned char *at, bool extended)
{
	if (extended) {
		extent->length = wire_get64(at);
		extent->flags = wire_get64(at + 8);
	} else {
		extent->length = wire_get32(at);
		extent->flags = wire_get32(at + 4);
	}
}

/* COUNT descriptors in CLIENT->data, for the context WHICH from *AT on. */
static int take_descriptors(struct nbdt_client *client, const struct client_request *request,
	size_t which, size_t count, uint64_t *at, struct nbdt_error *err)
{
	struct nbdt_extent extent;

	for (size_t i = 0; i < count; i++) {
		decode(&extent, client->data + i * descriptor_size(client), client->extended);
		if (!extent.length)
			return client_bad_chunk(client, request, "an extent of 0 bytes", err);
		if (*at - request->offset >= request->length)
			return client_bad_chunk(
				client, request, "extents beyond what was asked for", err);
		if (request->flags & NBD_CMD_FLAG_REQ_ONE && extent.length > request->length)
			return client_bad_chunk(client, request, "an extent that is too long", err);
		*at = take_extent(client, which, *at, &extent);
	}
	return 0;
}

static int receive_descriptors(struct nbdt_client *client, const struct client_request *request,
	size_t which, uint64_t count, struct nbdt_error *err)
{
	const size_t size = descriptor_size(client);
	uint64_t at = request->offset;
	int result = 0;

	while (!result && count) {
		size_t batch = count < CLIENT_DATA / size ? (size_t)count : CLIENT_DATA / size;

		result = client_receive(client, client->data, batch * size, err);
		if (!result)
			result = take_descriptors(client, request, which, batch, &at, err);
		count -= batch;
	}
	return result;
}

/* The place of the context with a number in those selected, or their count. */
static size_t find_context(const struct client_contexts *contexts, uint32_t id)
{
	size_t which = 0;

	while (which < contexts->count && contexts->list[which].id != id)
		which++;
	return which;
}

/* What comes before the descriptors: the context's number, extended with their count. */
static int receive_status_header(struct nbdt_client *client, const struct client_request *request,
	uint64_t length, size_t *which, uint64_t *count, struct nbdt_error *err)
{
	const size_t header = client->extended ? sizeof(struct nbd_chunk_block_status_ext)
					       : sizeof(struct nbd_chunk_block_status);

	if (length <= header || (length - header) % descriptor_size(client))
		return client_bad_chunk(client, request, "block status of a wrong length", err);
	*count = (length - header) / descriptor_size(client);
	if (*count > EXTENTS_MAXIMUM)
		return client_bad_chunk(client, request, "more than 2^20 extents", err);
	if (request->flags & NBD_CMD_FLAG_REQ_ONE && *count > 1)
		return client_bad_chunk(client, request, "more than one extent", err);
	int result = client_receive(client, client->data, header, err);
	if (result)
		return result;
	if (client->extended && wire_get32(client->data + 4) != *count)
		return client_bad_chunk(client, request, "a wrong number of extents", err);
	*which = find_context(&client->contexts, wire_get32(client->data));
	if (*which == client->contexts.count)
		return client_bad_chunk(
			client, request, "a metadata context that was not selected", err);
	return 0;
}

int client_receive_status(struct nbdt_client *client, const struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err)
{
	uint16_t wanted = client->extended ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT
					   : NBD_REPLY_TYPE_BLOCK_STATUS;
	uint64_t count = 0;
	size_t which = 0;

	if (request->type != NBD_CMD_BLOCK_STATUS || chunk->type != wanted)
		return client_bad_chunk(client, request, "block status of the wrong kind", err);
	int result = receive_status_header(client, request, chunk->length, &which, &count, err);
	if (result)
		return result;
	struct client_status *status = &client->transmission->status.contexts[which];
	if (status->answered)
		return client_bad_chunk(client, request, "the same metadata context twice", err);
	status->answered = true;
	return receive_descriptors(client, request, which, count, err);
}

bool client_status_complete(const struct nbdt_client *client)
{
	for (size_t i = 0; i < client->contexts.count; i++)
		if (!client->transmission->status.contexts[i].answered)
			return false;
	return true;
}

/* Up to where every context was told. */
static uint64_t told_by_all(const struct nbdt_client *client)
{
	const struct client_transmission *transmission = client->transmission;
	uint64_t told = transmission->status.end;

	for (size_t i = 0; i < client->contexts.count; i++)
		if (transmission->status.contexts[i].told < told)
			told = transmission->status.contexts[i].told;
	return told;
}

static int ask_at(struct nbdt_client *client, uint64_t offset, unsigned int flags,
	struct nbdt_error *err)
{
	struct client_transmission *transmission = client->transmission;
	struct client_request *request = client_new_request(transmission);
	uint64_t length = transmission->status.end - offset;

	if (length > client_longest_effect(client))
		length = client_longest_effect(client);
	for (size_t i = 0; i < client->contexts.count; i++)
		transmission->status.contexts[i].answered = false;
	request->type = NBD_CMD_BLOCK_STATUS;
	request->flags = (uint16_t)flags;
	request->offset = offset;
	request->length = length;
	request->buffer = NULL;
	int result = client_send_request(client, request, err);
	while (!result && transmission->in_flight)
		result = client_receive_message(client, err);
	return result ? result : client_end_operation(client);
}

/* A server may tell less than what is asked for, and of each context another part. */
static int ask_on(struct nbdt_client *client, unsigned int flags, struct nbdt_error *err)
{
	uint64_t told = told_by_all(client);
	/* Extents need not end between blocks, but requests must begin there. */
	uint64_t offset = told - told % client->transmission->minimum;
	int result = ask_at(client, offset, flags, err);

	if (!result && told_by_all(client) == told)
		return nbdt_error_set(err, client_broken(client, -EPROTO),
			"%.200s broke the protocol: it tells the same block status again and again",
			client->name);
	return result;
}

int nbdt_client_block_status(struct nbdt_client *client, uint64_t offset, uint64_t length,
	unsigned int flags,
	int (*each)(const char *context, uint64_t offset, const struct nbdt_extent *extent,
		void *arg),
	void *arg, struct nbdt_error *err)
{
	struct client_transmission *transmission = client->transmission;
	int result = client_check_request(client, NBD_CMD_BLOCK_STATUS, flags, offset, length, err);

	if (result)
		return result;
	if (!client->contexts.count)
		return nbdt_error_set(err, -EINVAL,
			"%.200s: no metadata context was selected for this export", client->name);
	if (!length)
		return 0;
	transmission->status.end = offset + length;
	transmission->status.each = each;
	transmission->status.arg = arg;
	transmission->status.stopped = 0;
	for (size_t i = 0; i < client->contexts.count; i++)
		transmission->status.contexts[i] = (struct client_status){ .told = offset };
	do
		result = ask_on(client, flags, err);
	while (!result && !transmission->status.stopped && !(flags & NBDT_CMD_FLAG_REQ_ONE)
		&& told_by_all(client) < offset + length);
	for (size_t i = 0; !result && i < client->contexts.count; i++)
		tell_pending(client, i);
	return result ? result : transmission->status.stopped;
}
