/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a READ, in chunks of any order ("Structured reply types", "NBD_CMD_READ"). */
#include <errno.h>
#include <string.h>

#include "client-transmission.h"
#include "wire.h"

bool client_cover(struct client_coverage *coverage, uint32_t begin, uint32_t end)
{
	struct client_range *ranges = coverage->ranges;
	size_t at = coverage->count;

	/* From the end: most servers go upwards. */
	while (at && ranges[at - 1].begin >= end)
		at--;
	if (at && ranges[at - 1].end > begin)
		return false;
	bool before = at && ranges[at - 1].end == begin;
	bool after = at < coverage->count && ranges[at].begin == end;
	if (before && after) {
		ranges[at - 1].end = ranges[at].end;
		coverage->count--;
		memmove(ranges + at, ranges + at + 1, (coverage->count - at) * sizeof(*ranges));
	} else if (before) {
		ranges[at - 1].end = end;
	} else if (after) {
		ranges[at].begin = begin;
	} else {
		if (coverage->count == CLIENT_RANGES)
			return false;
		memmove(ranges + at + 1, ranges + at, (coverage->count - at) * sizeof(*ranges));
		ranges[at] = (struct client_range){ begin, end };
		coverage->count++;
	}
	return true;
}

bool client_content_complete(const struct client_request *request)
{
	const struct client_coverage *coverage = &request->coverage;

	return coverage->count == 1 && !coverage->ranges[0].begin
		&& coverage->ranges[0].end == request->length;
}

/* LENGTH is not 0. */
static int take_range(struct nbdt_client *client, struct client_request *request, uint64_t offset,
	uint64_t length, struct nbdt_error *err)
{
	if (request->flags & NBD_CMD_FLAG_DF && request->content)
		return client_bad_chunk(client, request, "more than one piece of data", err);
	request->content = true;
	if (offset < request->offset || offset - request->offset >= request->length
		|| length > request->length - (offset - request->offset))
		return client_bad_chunk(client, request, "data from elsewhere", err);
	uint32_t begin = (uint32_t)(offset - request->offset);
	if (!client_cover(&request->coverage, begin, begin + (uint32_t)length))
		return client_bad_chunk(
			client, request, "overlapping data, or too many pieces of it", err);
	return 0;
}

static int receive_data(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err)
{
	struct nbd_chunk_offset_data header;

	if (chunk->length <= sizeof(header))
		return client_bad_chunk(client, request, "a data chunk without data", err);
	int result = client_receive(client, &header, sizeof(header), err);
	if (result)
		return result;
	uint64_t offset = wire_get64(&header.offset);
	uint64_t length = chunk->length - sizeof(header);
	result = take_range(client, request, offset, length, err);
	if (result)
		return result;
	return client_receive(
		client, request->buffer + (offset - request->offset), (size_t)length, err);
}

static int receive_hole(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err)
{
	struct nbd_chunk_offset_hole hole;

	if (chunk->length != sizeof(hole))
		return client_bad_chunk(client, request, "a hole of a wrong length", err);
	int result = client_receive(client, &hole, sizeof(hole), err);
	if (result)
		return result;
	uint64_t offset = wire_get64(&hole.offset);
	uint32_t length = wire_get32(&hole.length);
	if (!length)
		return client_bad_chunk(client, request, "a hole of 0 bytes", err);
	result = take_range(client, request, offset, length, err);
	if (!result)
		memset(request->buffer + (offset - request->offset), 0, length);
	return result;
}

int client_receive_content(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err)
{
	if (request->type != NBD_CMD_READ)
		return client_bad_chunk(client, request, "data that nobody asked for", err);
	if (chunk->type == NBD_REPLY_TYPE_OFFSET_DATA)
		return receive_data(client, request, chunk, err);
	return receive_hole(client, request, chunk, err);
}
