/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the transmission phase: which may be sent, and sending them ("Request types"). */
#include <errno.h>
#include <inttypes.h>

#include "client-transmission.h"
#include "wire.h"

/*
 * A compact header's length has 32 bits. This is less, for servers that take it as a signed number,
 * and a multiple of any block size.
 */
#define COMPACT_LONGEST (UINT64_C(1) << 30)

static const struct command {
	const char *name;
	uint16_t needs; /* transmission flag that announces it; 0: always there */
	uint16_t flags; /* that it may have */
	bool writes;
} commands[] = {
	[NBD_CMD_READ] = { "READ", 0, NBD_CMD_FLAG_DF, false },
	[NBD_CMD_WRITE] = { "WRITE", 0, NBD_CMD_FLAG_FUA, true },
	[NBD_CMD_DISC] = { "DISC", 0, 0, false },
	[NBD_CMD_FLUSH] = { "FLUSH", NBD_FLAG_SEND_FLUSH, 0, false },
	[NBD_CMD_TRIM] = { "TRIM", NBD_FLAG_SEND_TRIM, NBD_CMD_FLAG_FUA, true },
	[NBD_CMD_CACHE] = { "CACHE", NBD_FLAG_SEND_CACHE, 0, false },
	[NBD_CMD_WRITE_ZEROES] = { "WRITE_ZEROES", NBD_FLAG_SEND_WRITE_ZEROES,
		NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO, true },
	[NBD_CMD_BLOCK_STATUS] = { "BLOCK_STATUS", 0, NBD_CMD_FLAG_REQ_ONE, false },
};

const char *client_command_name(uint16_t type)
{
	return commands[type].name;
}

uint64_t client_longest_effect(const struct nbdt_client *client)
{
	return client->extended ? UINT64_MAX : COMPACT_LONGEST;
}

/* Flags that a server must have announced before they may be sent. */
static unsigned int unannounced_flags(unsigned int flags, uint16_t announced)
{
	static const struct {
		unsigned int flag, needs;
	} conditions[] = {
		{ NBD_CMD_FLAG_FUA, NBD_FLAG_SEND_FUA },
		{ NBD_CMD_FLAG_DF, NBD_FLAG_SEND_DF },
		{ NBD_CMD_FLAG_FAST_ZERO, NBD_FLAG_SEND_FAST_ZERO },
	};
	unsigned int missing = 0;

	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (flags & conditions[i].flag && !(announced & conditions[i].needs))
			missing |= conditions[i].flag;
	return missing;
}

static int check_announced(struct nbdt_client *client, uint16_t type, unsigned int flags,
	struct nbdt_error *err)
{
	const struct command *command = &commands[type];
	uint16_t announced = client->transmission->flags;

	if (flags & ~(unsigned int)command->flags)
		return nbdt_error_set(err, -EINVAL, "%s does not have the flags %#x", command->name,
			flags & ~(unsigned int)command->flags);
	if (command->writes && announced & NBD_FLAG_READ_ONLY)
		return nbdt_error_set(err, -EPERM, "%.200s offers this export read-only",
			client->name);
	if (command->needs && !(announced & command->needs))
		return nbdt_error_set(err, -EOPNOTSUPP,
			"%.200s does not support %s for this export", client->name, command->name);
	unsigned int missing = unannounced_flags(flags, announced);
	if (missing)
		return nbdt_error_set(err, -EOPNOTSUPP,
			"%.200s does not support the flags %#x of %s for this export", client->name,
			missing, command->name);
	return 0;
}

/* "the client MUST ensure that offset and length are integer multiples" ("Size constraints"). */
static int check_range(
	struct nbdt_client *client, uint64_t offset, uint64_t length, struct nbdt_error *err)
{
	const struct client_transmission *transmission = client->transmission;

	if (offset > transmission->size || length > transmission->size - offset)
		return nbdt_error_set(err, -EINVAL,
			"%" PRIu64 " bytes at offset %" PRIu64
			" are not inside the export of %" PRIu64 " bytes",
			length, offset, transmission->size);
	if (offset % transmission->minimum || length % transmission->minimum)
		return nbdt_error_set(err, -EINVAL,
			"%" PRIu64 " bytes at offset %" PRIu64 " are not whole blocks of %u bytes,"
			" on which %.200s insists",
			length, offset, transmission->minimum, client->name);
	return 0;
}

int client_check_request(struct nbdt_client *client, uint16_t type, unsigned int flags,
	uint64_t offset, uint64_t length, struct nbdt_error *err)
{
	if (client->phase > CLIENT_TRANSMISSION)
		return nbdt_error_set(err, -EINVAL,
			"%.200s: this connection cannot be used any more", client->name);
	if (!client->transmission)
		return nbdt_error_set(err, -EINVAL,
			"%.200s: no export was chosen on this connection", client->name);
	client->transmission->failure = 0;
	int result = check_announced(client, type, flags, err);
	return result ? result : check_range(client, offset, length, err);
}

static size_t put_compact(struct nbd_request_header *header, const struct client_request *request)
{
	wire_put32(&header->magic, NBD_REQUEST_MAGIC);
	wire_put16(&header->flags, request->flags);
	wire_put16(&header->type, request->type);
	wire_put64(&header->cookie, request->cookie);
	wire_put64(&header->offset, request->offset);
	wire_put32(&header->length, (uint32_t)request->length);
	return sizeof(*header);
}

static size_t put_extended(
	struct nbd_extended_request_header *header, const struct client_request *request)
{
	uint16_t flags = request->flags;

	if (request->type == NBD_CMD_WRITE)
		flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
	wire_put32(&header->magic, NBD_EXTENDED_REQUEST_MAGIC);
	wire_put16(&header->flags, flags);
	wire_put16(&header->type, request->type);
	wire_put64(&header->cookie, request->cookie);
	wire_put64(&header->offset, request->offset);
	wire_put64(&header->length, request->length);
	return sizeof(*header);
}

static int send_message(struct nbdt_client *client, const struct client_request *request,
	struct nbdt_error *err)
{
	union {
		struct nbd_request_header compact;
		struct nbd_extended_request_header extended;
	} header;
	struct iovec vector[2] = {
		[0] = { .iov_base = &header },
		[1] = { .iov_base = request->buffer, .iov_len = (size_t)request->length },
	};

	vector[0].iov_len = client->extended ? put_extended(&header.extended, request)
					     : put_compact(&header.compact, request);
	return client_send(client, vector, request->type == NBD_CMD_WRITE ? 2 : 1, err);
}

struct client_request *client_new_request(struct client_transmission *transmission)
{
	struct client_request *request = transmission->requests;

	while (request->cookie)
		request++;
	request->failed = false;
	request->content = false;
	request->coverage.count = 0;
	return request;
}

int client_send_request(
	struct nbdt_client *client, struct client_request *request, struct nbdt_error *err)
{
	client_renew_deadline(client);
	request->cookie = ++client->transmission->cookie;
	client->transmission->in_flight++;
	return send_message(client, request, err);
}

int client_say_disconnect(struct nbdt_client *client, struct nbdt_error *err)
{
	static const struct client_request request = { .type = NBD_CMD_DISC };

	return send_message(client, &request, err);
}
