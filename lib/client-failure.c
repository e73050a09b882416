/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that a server tells for a request ("Error values", "Structured reply types"). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client-transmission.h"
#include "wire.h"

/* "The client SHOULD treat an unexpected error value as if it had been NBD_EINVAL". */
static int error_from_wire(uint32_t error)
{
	switch (error) {
	case NBD_EPERM:
		return -EPERM;
	case NBD_EIO:
		return -EIO;
	case NBD_ENOMEM:
		return -ENOMEM;
	case NBD_ENOSPC:
		return -ENOSPC;
	case NBD_EOVERFLOW:
		return -EOVERFLOW;
	case NBD_ENOTSUP:
		return -EOPNOTSUPP;
	case NBD_ESHUTDOWN:
		return -ESHUTDOWN;
	default:
		return -EINVAL;
	}
}

void client_fail_request(struct nbdt_client *client, struct client_request *request, uint32_t error,
	const char *text, size_t length, struct nbdt_error *err)
{
	struct client_transmission *transmission = client->transmission;
	char excerpt[CLIENT_EXCERPT];
	int code = error_from_wire(error);
	const char *reason = strerrordesc_np(-code);

	request->failed = true;
	if (code == -ESHUTDOWN) {
		transmission->shutdown = true;
		reason = "the server is shutting down";
	}
	if (transmission->failure)
		return;
	transmission->failure = code;
	client_excerpt(excerpt, text, length);
	nbdt_error_set(err, code, "%.100s: %s of %" PRIu64 " bytes at offset %" PRIu64
		" failed: %s%s%s",
		client->name, client_command_name(request->type), request->length, request->offset,
		reason, *excerpt ? ": " : "", excerpt);
}

/* "an error occurred at a given offset, which MUST lie within" the request. */
static int take_offset(struct nbdt_client *client, struct client_request *request, uint64_t offset,
	struct nbdt_error *err)
{
	if (offset < request->offset || offset - request->offset >= request->length)
		return client_bad_chunk(client, request, "an error elsewhere", err);
	/*
	 * Content must not follow where an error was told. An error may well follow where content
	 * was, and then changes nothing here.
	 */
	if (request->type == NBD_CMD_READ) {
		uint32_t begin = (uint32_t)(offset - request->offset);

		client_cover(&request->coverage, begin, begin + 1);
	}
	return 0;
}

int client_receive_error_chunk(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err)
{
	const size_t fixed = sizeof(struct nbd_chunk_error);
	struct nbd_chunk_error header;

	if (chunk->length < fixed || chunk->length > CLIENT_DATA)
		return client_bad_chunk(client, request, "an error chunk of a wrong length", err);
	int result = client_receive(client, client->data, (size_t)chunk->length, err);
	if (result)
		return result;
	memcpy(&header, client->data, fixed);
	uint32_t error = wire_get32(&header.error);
	size_t length = wire_get16(&header.length);
	size_t offset_length = chunk->type == NBD_REPLY_TYPE_ERROR_OFFSET ? 8 : 0;
	if (length > NBDT_MAX_STRING || fixed + length + offset_length > chunk->length)
		return client_bad_chunk(
			client, request, "an error whose text is too long", err);
	if (!error)
		return client_bad_chunk(client, request, "an error of 0", err);
	client_fail_request(client, request, error, (char *)client->data + fixed, length, err);
	/* In reply to FLUSH, which has no range, it is but an error of an unexpected type. */
	if (!offset_length || request->type == NBD_CMD_FLUSH)
		return 0;
	return take_offset(client, request, wire_get64(client->data + fixed + length), err);
}
