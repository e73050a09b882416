/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's messages in the transmission phase: whose they are, and whether they may be
 * ("Simple reply message", "Structured reply chunk message").
 */
#include <errno.h>
#include <inttypes.h>

#include "client-transmission.h"
#include "wire.h"

int client_bad_chunk(struct nbdt_client *client, const struct client_request *request,
	const char *how, struct nbdt_error *err)
{
	return nbdt_error_set(err, client_broken(client, -EPROTO),
		"%.200s broke the protocol: answering %s of %" PRIu64 " bytes at offset %" PRIu64
		", it sends %s",
		client->name, client_command_name(request->type), request->length, request->offset,
		how);
}

static struct client_request *find_request(
	struct client_transmission *transmission, uint64_t cookie)
{
	/* Free ones have the cookie 0. */
	for (size_t i = 0; cookie && i < CLIENT_DEPTH; i++)
		if (transmission->requests[i].cookie == cookie)
			return &transmission->requests[i];
	return NULL;
}

static int check_complete(
	struct nbdt_client *client, struct client_request *request, struct nbdt_error *err)
{
	if (request->failed)
		return 0;
	if (request->type == NBD_CMD_READ && !client_content_complete(request))
		return client_bad_chunk(client, request, "not all of the data", err);
	if (request->type == NBD_CMD_BLOCK_STATUS && !client_status_complete(client))
		return client_bad_chunk(client, request, "not all of the metadata contexts", err);
	return 0;
}

static int finish(
	struct nbdt_client *client, struct client_request *request, struct nbdt_error *err)
{
	int result = check_complete(client, request, err);

	request->cookie = 0;
	client->transmission->in_flight--;
	client_renew_deadline(client);
	return result;
}

/* Once replies are structured, "a simple reply MAY be used", but for READ and what has content. */
static int receive_simple(struct nbdt_client *client, struct client_request *request,
	uint32_t error, struct nbdt_error *err)
{
	int result = 0;

	if (client->structured && request->type == NBD_CMD_READ)
		return client_bad_chunk(client, request, "a simple reply", err);
	if (error) {
		client_fail_request(client, request, error, "", 0, err);
	} else if (request->type == NBD_CMD_READ) {
		client_cover(&request->coverage, 0, (uint32_t)request->length);
		result = client_receive(client, request->buffer, (size_t)request->length, err);
	}
	return result ? result : finish(client, request, err);
}

static int receive_payload(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err)
{
	if (chunk->type & NBD_REPLY_TYPE_FLAG_ERROR)
		return client_receive_error_chunk(client, request, chunk, err);
	switch (chunk->type) {
	case NBD_REPLY_TYPE_NONE:
		if (chunk->length)
			return client_bad_chunk(client, request, "an empty chunk with data", err);
		if (!(chunk->flags & NBD_REPLY_FLAG_DONE))
			return client_bad_chunk(
				client, request, "an empty chunk that is not the last", err);
		return 0;
	case NBD_REPLY_TYPE_OFFSET_DATA:
	case NBD_REPLY_TYPE_OFFSET_HOLE:
		return client_receive_content(client, request, chunk, err);
	case NBD_REPLY_TYPE_BLOCK_STATUS:
	case NBD_REPLY_TYPE_BLOCK_STATUS_EXT:
		return client_receive_status(client, request, chunk, err);
	default: /* "it MUST initiate a hard disconnect" */
		return client_bad_chunk(client, request, "a chunk of an unknown type", err);
	}
}

static int receive_chunk(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err)
{
	int result = receive_payload(client, request, chunk, err);

	if (result || !(chunk->flags & NBD_REPLY_FLAG_DONE))
		return result;
	return finish(client, request, err);
}

/* What the negotiation allows. */
static bool right_magic(const struct nbdt_client *client, uint32_t magic)
{
	if (client->extended)
		return magic == NBD_EXTENDED_REPLY_MAGIC;
	return magic == NBD_SIMPLE_REPLY_MAGIC
		|| (client->structured && magic == NBD_STRUCTURED_REPLY_MAGIC);
}

static int unknown_cookie(struct nbdt_client *client, uint64_t cookie, struct nbdt_error *err)
{
	return nbdt_error_set(err, client_broken(client, -EPROTO),
		"%.200s broke the protocol: it answers a request that is not waiting (cookie %#"
		PRIx64 ")",
		client->name, cookie);
}

/* Headers differ in length, but all have the cookie at the same place. */
union reply_header {
	struct nbd_simple_reply_header simple;
	struct nbd_structured_reply_header structured;
	struct nbd_extended_reply_header extended;
};

static size_t header_size(uint32_t magic)
{
	switch (magic) {
	case NBD_STRUCTURED_REPLY_MAGIC:
		return sizeof(struct nbd_structured_reply_header);
	case NBD_EXTENDED_REPLY_MAGIC:
		return sizeof(struct nbd_extended_reply_header);
	default:
		return sizeof(struct nbd_simple_reply_header);
	}
}

static int receive_header(
	struct nbdt_client *client, union reply_header *header, struct nbdt_error *err)
{
	const size_t least = sizeof(header->simple);
	int result = client_receive(client, header, least, err);

	if (result)
		return result;
	uint32_t magic = wire_get32(&header->simple.magic);
	if (!right_magic(client, magic))
		return nbdt_error_set(err, client_broken(client, -EPROTO),
			"%.200s broke the protocol: a reply begins with the magic %#x, which was"
			" not agreed on",
			client->name, magic);
	size_t size = header_size(magic);
	if (size == least)
		return 0;
	return client_receive(client, (char *)header + least, size - least, err);
}

int client_receive_message(struct nbdt_client *client, struct nbdt_error *err)
{
	union reply_header header;
	struct client_chunk chunk;
	int result = receive_header(client, &header, err);

	if (result)
		return result;
	uint64_t cookie = wire_get64(&header.simple.cookie);
	struct client_request *request = find_request(client->transmission, cookie);
	if (!request)
		return unknown_cookie(client, cookie, err);
	if (wire_get32(&header.simple.magic) == NBD_SIMPLE_REPLY_MAGIC)
		return receive_simple(client, request, wire_get32(&header.simple.error), err);
	chunk.flags = wire_get16(&header.structured.flags);
	chunk.type = wire_get16(&header.structured.type);
	if (!client->extended) {
		chunk.length = wire_get32(&header.structured.length);
		return receive_chunk(client, request, &chunk, err);
	}
	if (wire_get64(&header.extended.offset) != request->offset)
		return client_bad_chunk(client, request, "the offset of another request", err);
	chunk.length = wire_get64(&header.extended.length);
	return receive_chunk(client, request, &chunk, err);
}
