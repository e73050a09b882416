/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing for the client's caller: cut into requests, several of them in flight. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client-transmission.h"

/* Bytes that a READ or WRITE is cut into, unless the server's block sizes want it otherwise. */
#define PIECE (256u * 1024)
/* "the server MUST support unfragmented reads" of so many. */
#define UNFRAGMENTED (64u * 1024)

static uint32_t piece_size(const struct nbdt_export *export)
{
	uint32_t maximum = export->block_maximum;
	uint32_t piece = export->block_preferred > PIECE ? export->block_preferred : PIECE;

	if (maximum > NBDT_MAX_PAYLOAD)
		maximum = NBDT_MAX_PAYLOAD;
	if (piece <= maximum)
		return piece;
	/* The best multiple, so that no piece but the outer ones is unaligned. */
	uint32_t unit = export->block_preferred <= maximum ? export->block_preferred
							    : export->block_minimum;
	return maximum - maximum % unit;
}

int client_enter_transmission(
	struct nbdt_client *client, const struct nbdt_export *export, struct nbdt_error *err)
{
	const char *selected_for = client->contexts.export_name;

	/* They are the server's only "for the same export name" ("NBD_OPT_SET_META_CONTEXT"). */
	if (selected_for && strcmp(selected_for, export->name) != 0)
		client_clear_contexts(client);
	if (!client->transmission)
		client->transmission = calloc(1, sizeof(*client->transmission));
	if (!client->transmission)
		return nbdt_error_errno(err, -ENOMEM, "cannot use an export");
	client->transmission->size = export->size;
	client->transmission->flags = export->flags;
	client->transmission->minimum = export->block_minimum;
	client->transmission->piece = piece_size(export);
	return 0;
}

/* What is left to be asked of an operation. */
struct transfer {
	uint16_t type, flags;
	uint64_t offset, length;
	uint64_t piece;        /* cut at multiples of it */
	unsigned char *buffer; /* or NULL */
	bool all_sent;
};

static int send_piece(
	struct nbdt_client *client, struct transfer *transfer, struct nbdt_error *err)
{
	struct client_request *request = client_new_request(client->transmission);
	uint64_t length = transfer->piece - transfer->offset % transfer->piece;

	if (length > transfer->length)
		length = transfer->length;
	request->type = transfer->type;
	request->flags = transfer->flags;
	request->offset = transfer->offset;
	request->length = length;
	request->buffer = transfer->buffer;
	transfer->offset += length;
	transfer->length -= length;
	if (transfer->buffer)
		transfer->buffer += length;
	transfer->all_sent = !transfer->length;
	return client_send_request(client, request, err);
}

int client_end_operation(struct nbdt_client *client)
{
	/* "If the client receives an NBD_ESHUTDOWN error it MUST initiate a soft disconnect." */
	if (client->transmission->shutdown)
		client->phase = CLIENT_REFUSED;
	return client->transmission->failure;
}

/*
 * No request is sent after an error, but every one is answered before this returns. Replies to so
 * few writes fit into any socket's buffer, so that they never keep a server from receiving.
 */
static int run(struct nbdt_client *client, struct transfer *transfer, struct nbdt_error *err)
{
	struct client_transmission *transmission = client->transmission;
	int result = 0;

	while (!result) {
		bool more = !transfer->all_sent && !transmission->failure;

		if (more && transmission->in_flight < CLIENT_DEPTH)
			result = send_piece(client, transfer, err);
		else if (transmission->in_flight)
			result = client_receive_message(client, err);
		else
			return client_end_operation(client);
	}
	return result;
}

/* BUFFER: NULL for what has no payload. */
static int do_io(struct nbdt_client *client, uint16_t type, unsigned int flags, uint64_t offset,
	uint64_t length, void *buffer, struct nbdt_error *err)
{
	struct transfer transfer = {
		.type = type,
		.flags = (uint16_t)flags,
		.offset = offset,
		.length = length,
		.buffer = buffer,
	};
	int result = client_check_request(client, type, flags, offset, length, err);

	if (result)
		return result;
	/* "The client SHOULD NOT request a read length of 0", nor others. */
	if (!length && type != NBD_CMD_FLUSH)
		return 0;
	if (!buffer)
		transfer.piece = client_longest_effect(client);
	else if (flags & NBDT_CMD_FLAG_DF && client->transmission->piece > UNFRAGMENTED)
		transfer.piece = UNFRAGMENTED;
	else
		transfer.piece = client->transmission->piece;
	return run(client, &transfer, err);
}

int nbdt_client_pread(struct nbdt_client *client, void *buffer, size_t length, uint64_t offset,
	unsigned int flags, struct nbdt_error *err)
{
	return do_io(client, NBD_CMD_READ, flags, offset, length, buffer, err);
}

int nbdt_client_pwrite(struct nbdt_client *client, const void *buffer, size_t length,
	uint64_t offset, unsigned int flags, struct nbdt_error *err)
{
	/* Sending only reads it. */
	return do_io(client, NBD_CMD_WRITE, flags, offset, length, (void *)(uintptr_t)buffer, err);
}

int nbdt_client_flush(struct nbdt_client *client, struct nbdt_error *err)
{
	return do_io(client, NBD_CMD_FLUSH, 0, 0, 0, NULL, err);
}

int nbdt_client_trim(struct nbdt_client *client, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_error *err)
{
	return do_io(client, NBD_CMD_TRIM, flags, offset, length, NULL, err);
}

int nbdt_client_zero(struct nbdt_client *client, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_error *err)
{
	return do_io(client, NBD_CMD_WRITE_ZEROES, flags, offset, length, NULL, err);
}

int nbdt_client_cache(
	struct nbdt_client *client, uint64_t offset, uint64_t length, struct nbdt_error *err)
{
	return do_io(client, NBD_CMD_CACHE, 0, offset, length, NULL, err);
}
