/* SPDX-License-Identifier: Apache-2.0 */
/* What a server tells of an export (NBD_REP_INFO), believed only as far as it makes sense. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client-internal.h"
#include "wire.h"

/* "Size constraints": what holds where nothing was said. */
#define DEFAULT_MINIMUM 1u
#define DEFAULT_PREFERRED 4096u

#define LARGEST_MINIMUM 65536u
#define SMALLEST_PREFERRED 512u

/* Others are extensions that we did not negotiate: unknown bits are ignored. */
#define KNOWN_FLAGS                                                                              \
	(NBD_FLAG_HAS_FLAGS | NBDT_FLAG_READ_ONLY | NBDT_FLAG_SEND_FLUSH | NBDT_FLAG_SEND_FUA |  \
		NBDT_FLAG_ROTATIONAL | NBDT_FLAG_SEND_TRIM | NBDT_FLAG_SEND_WRITE_ZEROES |       \
		NBDT_FLAG_SEND_DF | NBDT_FLAG_CAN_MULTI_CONN | NBDT_FLAG_SEND_CACHE |            \
		NBDT_FLAG_SEND_FAST_ZERO)

void nbdt_export_clear(struct nbdt_export *export)
{
	free(export->name);
	free(export->description);
	memset(export, 0, sizeof(*export));
}

/* It "SHOULD only appear once": a repetition is fine, a contradiction is not. */
static int take_export(struct nbdt_client *client, struct export_info *info, struct nbdt_error *err)
{
	uint64_t size = wire_get64(client->data + 2);
	uint16_t flags = wire_get16(client->data + 10);

	if (info->complete && (info->export.size != size || info->export.flags != flags))
		return nbdt_error_set(err, -EPROTO,
			"%.200s contradicts itself about the export's size and flags",
			client->name);
	info->complete = true;
	info->export.size = size;
	info->export.flags = flags;
	return 0;
}

static int take_description(struct nbdt_client *client, struct export_info *info, size_t length,
	struct nbdt_error *err)
{
	const char *text = (const char *)client->data + 2;

	length -= 2;
	if (length > NBDT_MAX_STRING || memchr(text, '\0', length))
		return nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: a description that is too long or has a NUL",
			client->name);
	free(info->export.description);
	info->export.description = length ? strndup(text, length) : NULL;
	if (length && !info->export.description)
		return nbdt_error_errno(err, -ENOMEM, "cannot keep a description");
	return 0;
}

static void take_block_sizes(struct nbdt_client *client, struct export_info *info)
{
	info->export.has_block_sizes = true;
	info->export.block_minimum = wire_get32(client->data + 2);
	info->export.block_preferred = wire_get32(client->data + 6);
	info->export.block_maximum = wire_get32(client->data + 10);
}

/* The length that an information must have; 0: any. */
static size_t exact_length(uint16_t type)
{
	switch (type) {
	case NBD_INFO_EXPORT:
		return 12;
	case NBD_INFO_BLOCK_SIZE:
		return 14;
	default:
		return 0;
	}
}

int client_take_info(struct nbdt_client *client, struct export_info *info, size_t length,
	struct nbdt_error *err)
{
	if (length < 2)
		return nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: an information of %zu bytes", client->name,
			length);
	uint16_t type = wire_get16(client->data);
	size_t exact = exact_length(type);
	if (exact && length != exact)
		return nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: information %u with %zu bytes", client->name,
			type, length);
	switch (type) {
	case NBD_INFO_EXPORT:
		return take_export(client, info, err);
	case NBD_INFO_DESCRIPTION:
		return take_description(client, info, length, err);
	case NBD_INFO_BLOCK_SIZE:
		take_block_sizes(client, info);
		return 0;
	default: /* "MUST ignore information types that it does not recognize" */
		return 0;
	}
}

static bool is_power_of_two(uint32_t number)
{
	return number && !(number & (number - 1));
}

static int check_block_sizes(
	const struct nbdt_client *client, struct nbdt_export *export, struct nbdt_error *err)
{
	uint32_t minimum = export->block_minimum;
	uint32_t preferred = export->block_preferred;
	uint32_t maximum = export->block_maximum;
	const char *fault = NULL;

	if (!is_power_of_two(minimum) || minimum > LARGEST_MINIMUM)
		fault = "the minimum must be a power of two up to 65536";
	else if (!is_power_of_two(preferred) || preferred < SMALLEST_PREFERRED
		|| preferred < minimum)
		fault = "the preferred one must be a power of two, at least 512 and the minimum";
	else if (maximum < preferred)
		fault = "the maximum must be at least the preferred one";
	if (fault)
		return nbdt_error_set(err, -EPROTO,
			"%.200s announces impossible block sizes (minimum %u, preferred %u, maximum"
			" %u): %s",
			client->name, minimum, preferred, maximum, fault);
	export->block_maximum -= maximum % minimum;
	return 0;
}

static int check_size_and_flags(
	const struct nbdt_client *client, struct nbdt_export *export, struct nbdt_error *err)
{
	if (export->size > INT64_MAX)
		return nbdt_error_set(err, -EPROTO,
			"%.200s announces a size of %" PRIu64 " bytes, more than 2^63 - 1",
			client->name, export->size);
	if (!(export->flags & NBD_FLAG_HAS_FLAGS)) {
		/* Oldstyle servers from before the flags sent zero there. */
		if (client->handshake != NBDT_HANDSHAKE_OLDSTYLE)
			return nbdt_error_set(err, -EPROTO,
				"%.200s announces transmission flags %#x, which are invalid"
				" (NBD_FLAG_HAS_FLAGS is not set)",
				client->name, export->flags);
		export->flags = 0;
	}
	export->flags &= KNOWN_FLAGS;
	/* "MUST leave this flag clear if structured replies have not been negotiated" */
	if (!client->structured)
		export->flags &= (uint16_t)~NBD_FLAG_SEND_DF;
	return 0;
}

static int check_export(
	const struct nbdt_client *client, struct nbdt_export *export, struct nbdt_error *err)
{
	int result = check_size_and_flags(client, export, err);

	if (result)
		return result;
	if (export->has_block_sizes)
		return check_block_sizes(client, export, err);
	export->block_minimum = DEFAULT_MINIMUM;
	export->block_preferred = DEFAULT_PREFERRED;
	export->block_maximum = NBDT_MAX_PAYLOAD;
	return 0;
}

int client_finish_info(const struct nbdt_client *client, struct export_info *info, const char *name,
	struct nbdt_export *export, struct nbdt_error *err)
{
	int result = check_export(client, &info->export, err);

	if (!result) {
		info->export.name = strdup(name);
		if (!info->export.name)
			result = nbdt_error_errno(err, -ENOMEM, "cannot keep an export's name");
	}
	if (result) {
		nbdt_export_clear(&info->export);
		return result;
	}
	*export = info->export;
	memset(info, 0, sizeof(*info));
	return 0;
}
