/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "nbd-protocol.h"
#include "nbdtools.h"
#include "server-request.h"
#include "wire.h"

/*
 * A payload over this is not even skipped: such a client is broken, or it wants us to be busy.
 */
#define SKIPPED_MAXIMUM (64u * 1024 * 1024)

/* What may be sent with a command; NBD_CMD_FLAG_FUA comes on top wherever it is announced. */
struct command {
	uint16_t announced_by; /* transmission flag; 0: no such command */
	uint16_t flags;
	bool writes;
	bool payload; /* in either direction */
	int past_end; /* error for a range that leaves the export */
};

static const struct command commands[] = {
	[NBD_CMD_READ] = {
		.announced_by = NBD_FLAG_HAS_FLAGS,
		.flags = NBD_CMD_FLAG_DF,
		.payload = true,
		.past_end = -EINVAL,
	},
	[NBD_CMD_WRITE] = {
		.announced_by = NBD_FLAG_HAS_FLAGS,
		.writes = true,
		.payload = true,
		.past_end = -ENOSPC,
	},
	[NBD_CMD_FLUSH] = { .announced_by = NBD_FLAG_SEND_FLUSH, .past_end = -EINVAL },
	[NBD_CMD_TRIM] = {
		.announced_by = NBD_FLAG_SEND_TRIM,
		.writes = true,
		.past_end = -EINVAL,
	},
	[NBD_CMD_CACHE] = { .announced_by = NBD_FLAG_SEND_CACHE, .past_end = -EINVAL },
	[NBD_CMD_WRITE_ZEROES] = {
		.announced_by = NBD_FLAG_SEND_WRITE_ZEROES,
		.flags = NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
		.writes = true,
		.past_end = -ENOSPC,
	},
	[NBD_CMD_BLOCK_STATUS] = {
		.announced_by = NBD_FLAG_HAS_FLAGS,
		.flags = NBD_CMD_FLAG_REQ_ONE,
		.past_end = -EINVAL,
	},
};

void request_rules_set(struct request_rules *rules, const struct server_choice *choice)
{
	const struct nbdt_device *device = choice->export->device;
	bool aligned = choice->block_sizes && device->block_minimum > 1;

	rules->style = choice->style;
	rules->header_size = choice->style == STYLE_EXTENDED
		? sizeof(struct nbd_extended_request_header)
		: sizeof(struct nbd_request_header);
	rules->alignment = aligned ? device->block_minimum : 1;
	rules->payload_maximum =
		choice->block_sizes ? server_block_maximum(device) : NBDT_MAX_PAYLOAD;
	/* "A server SHOULD initiate hard disconnect" over the maximum ("Request message"). */
	rules->payload_skipped =
		choice->style == STYLE_EXTENDED ? rules->payload_maximum : SKIPPED_MAXIMUM;
	rules->export_flags = server_flags(device, choice->style);
	rules->allocation = choice->allocation;
}

static void read_extended_length(const unsigned char *bytes, struct wire_request *request)
{
	request->length = wire_get64(bytes + offsetof(struct nbd_extended_request_header, length));
	request->payload = request->flags & NBD_CMD_FLAG_PAYLOAD_LEN ? request->length : 0;
}

/* Both headers are the same up to the length. */
int wire_request_read(enum message_style style, const void *at, struct wire_request *request)
{
	uint32_t magic = style == STYLE_EXTENDED ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC;
	const unsigned char *bytes = at;

	if (wire_get32(bytes + offsetof(struct nbd_request_header, magic)) != magic)
		return -EPROTO;
	request->flags = wire_get16(bytes + offsetof(struct nbd_request_header, flags));
	request->type = wire_get16(bytes + offsetof(struct nbd_request_header, type));
	request->cookie = wire_get64(bytes + offsetof(struct nbd_request_header, cookie));
	request->offset = wire_get64(bytes + offsetof(struct nbd_request_header, offset));
	if (style == STYLE_EXTENDED) {
		read_extended_length(bytes, request);
		return 0;
	}
	request->length = wire_get32(bytes + offsetof(struct nbd_request_header, length));
	request->payload = request->type == NBD_CMD_WRITE ? request->length : 0;
	return 0;
}

static int refuse(const char **reason, int result, const char *text)
{
	*reason = text;
	return result;
}

static bool flags_allowed(
	const struct request_rules *rules, const struct command *command, unsigned int flags)
{
	unsigned int allowed = command->flags;

	if (rules->export_flags & NBD_FLAG_SEND_FUA)
		allowed |= NBD_CMD_FLAG_FUA;
	if (!(rules->export_flags & NBD_FLAG_SEND_FAST_ZERO))
		allowed &= ~NBD_CMD_FLAG_FAST_ZERO;
	if (!(rules->export_flags & NBD_FLAG_SEND_DF))
		allowed &= ~NBD_CMD_FLAG_DF;
	return !(flags & ~allowed);
}

/*
 * The maximum bounds what goes over the wire, not what is trimmed or zeroed ("Size constraints").
 * Those who know DF may get EOVERFLOW for a READ, and try again with less.
 */
static int check_payload(const struct request_rules *rules, const struct wire_request *request,
	const char **reason)
{
	bool overflow = request->type == NBD_CMD_READ && rules->style != STYLE_SIMPLE;

	if (request->length <= rules->payload_maximum)
		return 0;
	return refuse(reason, overflow ? -EOVERFLOW : -EINVAL,
		"more bytes in one request than this server allows");
}

static int check_range(const struct request_rules *rules, const struct command *command,
	const struct wire_request *request, const char **reason)
{
	int result = command->payload ? check_payload(rules, request, reason) : 0;

	if (result)
		return result;
	if (request->offset > rules->size || request->length > rules->size - request->offset)
		return refuse(reason, command->past_end, "the range is not inside the export");
	if ((request->offset | request->length) & (rules->alignment - 1))
		return refuse(reason, -EINVAL,
			"the range is not aligned to the minimal block size");
	return 0;
}

/* Whether a payload came along is for a flag to say, where headers are extended. */
static int check_flags(const struct request_rules *rules, const struct command *command,
	const struct wire_request *request, const char **reason)
{
	unsigned int flags = request->flags;
	bool payload = flags & NBD_CMD_FLAG_PAYLOAD_LEN;
	bool writing = request->type == NBD_CMD_WRITE;

	if (rules->style == STYLE_EXTENDED) {
		if (payload != writing)
			return refuse(reason, -EINVAL,
				writing ? "a WRITE without payload" : "a payload without WRITE");
		flags &= ~NBD_CMD_FLAG_PAYLOAD_LEN;
	}
	if (!flags_allowed(rules, command, flags))
		return refuse(reason, -EINVAL, "a flag that this command does not have");
	return 0;
}

/* What is particular to one command. */
static int check_command(const struct request_rules *rules, const struct wire_request *request,
	const char **reason)
{
	if (request->type == NBD_CMD_FLUSH && (request->offset || request->length))
		return refuse(reason, -EINVAL, "a FLUSH has no range");
	if (request->type != NBD_CMD_BLOCK_STATUS)
		return 0;
	if (!rules->allocation)
		return refuse(reason, -EINVAL, "no metadata context was selected");
	/* A success would have to have an extent, and none may be empty. */
	return request->length ? 0 : refuse(reason, -EINVAL, "the status of nothing");
}

static const struct command *find_command(uint16_t type)
{
	if (type >= sizeof(commands) / sizeof(commands[0]) || !commands[type].announced_by)
		return NULL;
	return &commands[type];
}

int request_check(const struct request_rules *rules, const struct wire_request *request,
	const char **reason)
{
	const struct command *command = find_command(request->type);

	if (!command)
		return refuse(reason, -EINVAL, "this server has no such command");
	/*
	 * An export that cannot be written announces no writing commands: saying why is more use
	 * than EINVAL.
	 */
	if (command->writes && rules->export_flags & NBD_FLAG_READ_ONLY)
		return refuse(reason, -EPERM, "the export is read-only");
	if (!(rules->export_flags & command->announced_by))
		return refuse(reason, -EINVAL, "the export does not have this command");
	int result = check_flags(rules, command, request, reason);
	if (!result)
		result = check_command(rules, request, reason);
	return result ? result : check_range(rules, command, request, reason);
}

unsigned int request_device_flags(const struct wire_request *request)
{
	unsigned int flags = 0;

	if (request->flags & NBD_CMD_FLAG_FUA)
		flags |= NBDT_REQUEST_FUA;
	if (request->flags & NBD_CMD_FLAG_NO_HOLE)
		flags |= NBDT_REQUEST_NO_HOLE;
	if (request->flags & NBD_CMD_FLAG_FAST_ZERO)
		flags |= NBDT_REQUEST_FAST_ZERO;
	return flags;
}

uint32_t request_wire_error(const struct wire_request *request, int result)
{
	switch (-result) {
	case 0:
		return 0;
	case EPERM:
	case EROFS:
		return NBD_EPERM;
	case ENOMEM:
		return NBD_ENOMEM;
	case EINVAL:
		return NBD_EINVAL;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return NBD_ENOSPC;
	case EOVERFLOW:
		return NBD_EOVERFLOW;
	case ENOTSUP:
		/*
		 * Means "it would be slow" to a client, and nothing else
		 * (NBD_CMD_FLAG_FAST_ZERO).
		 */
		return request->flags & NBD_CMD_FLAG_FAST_ZERO ? NBD_ENOTSUP : NBD_EIO;
	case ESHUTDOWN:
		return NBD_ESHUTDOWN;
	default:
		return NBD_EIO;
	}
}
