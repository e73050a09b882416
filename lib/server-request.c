/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "nbd-protocol.h"
#include "nbdtools.h"
#include "server-request.h"
#include "wire.h"

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
};

int wire_request_read(const void *at, struct wire_request *request)
{
	const unsigned char *bytes = at;

	if (wire_get32(bytes + offsetof(struct nbd_request_header, magic)) != NBD_REQUEST_MAGIC)
		return -EPROTO;
	request->flags = wire_get16(bytes + offsetof(struct nbd_request_header, flags));
	request->type = wire_get16(bytes + offsetof(struct nbd_request_header, type));
	request->cookie = wire_get64(bytes + offsetof(struct nbd_request_header, cookie));
	request->offset = wire_get64(bytes + offsetof(struct nbd_request_header, offset));
	request->length = wire_get32(bytes + offsetof(struct nbd_request_header, length));
	return 0;
}

static bool flags_allowed(
	const struct request_rules *rules, const struct command *command, unsigned int flags)
{
	unsigned int allowed = command->flags;

	if (rules->export_flags & NBD_FLAG_SEND_FUA)
		allowed |= NBD_CMD_FLAG_FUA;
	if (!(rules->export_flags & NBD_FLAG_SEND_FAST_ZERO))
		allowed &= ~NBD_CMD_FLAG_FAST_ZERO;
	return !(flags & ~allowed);
}

static int check_range(const struct request_rules *rules, const struct command *command,
	const struct wire_request *request)
{
	/*
	 * The maximum bounds what goes over the wire, not what is trimmed or zeroed ("Block size
	 * constraints").
	 */
	if (command->payload && request->length > NBDT_MAX_PAYLOAD)
		return -EINVAL;
	if (request->offset > rules->size || request->length > rules->size - request->offset)
		return command->past_end;
	if ((request->offset | request->length) & (rules->alignment - 1))
		return -EINVAL;
	return 0;
}

int request_check(const struct request_rules *rules, const struct wire_request *request)
{
	if (request->type >= sizeof(commands) / sizeof(commands[0]))
		return -EINVAL;
	const struct command *command = &commands[request->type];
	if (!command->announced_by)
		return -EINVAL;
	/*
	 * An export that cannot be written announces no writing commands: saying why is more use
	 * than EINVAL.
	 */
	if (command->writes && rules->export_flags & NBD_FLAG_READ_ONLY)
		return -EPERM;
	if (!(rules->export_flags & command->announced_by))
		return -EINVAL;
	if (!flags_allowed(rules, command, request->flags))
		return -EINVAL;
	if (request->type == NBD_CMD_FLUSH && (request->offset || request->length))
		return -EINVAL;
	return check_range(rules, command, request);
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
