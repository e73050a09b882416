/* SPDX-License-Identifier: Apache-2.0 */
/* The options about metadata contexts, of which there is one ("Metadata querying"). */
#include <string.h>

#include "nbd-protocol.h"
#include "server-extents.h"
#include "server-handshake.h"
#include "wire.h"

#define ALLOCATION "base:allocation"

/* What is left of an option's data. */
struct cursor {
	const unsigned char *at;
	size_t left;
};

/* A 32-bit length and a string. False: it does not fit, or is longer than a string may be. */
static bool take_string(struct cursor *cursor, const char **string, size_t *length)
{
	if (cursor->left < 4)
		return false;
	*length = wire_get32(cursor->at);
	if (*length > NBDT_MAX_STRING || *length > cursor->left - 4)
		return false;
	*string = (const char *)cursor->at + 4;
	cursor->at += 4 + *length;
	cursor->left -= 4 + *length;
	return true;
}

static bool take_number(struct cursor *cursor, uint32_t *number)
{
	if (cursor->left < 4)
		return false;
	*number = wire_get32(cursor->at);
	cursor->at += 4;
	cursor->left -= 4;
	return true;
}

static bool equals(const char *text, size_t length, const char *query)
{
	return length == strlen(query) && !memcmp(text, query, length);
}

/*
 * Reads the queries to the option's very end. Unknown ones find nothing; "base:" is a wildcard, for
 * listing alone ("The base: metadata namespace"), as no query at all is.
 */
static bool take_queries(struct cursor *cursor, bool listing, bool *found)
{
	const char *query;
	size_t length;
	uint32_t count;

	if (!take_number(cursor, &count))
		return false;
	*found = listing && !count;
	for (; count; count--) {
		if (!take_string(cursor, &query, &length))
			return false;
		*found |= equals(query, length, ALLOCATION);
		*found |= listing && equals(query, length, "base:");
	}
	return !cursor->left;
}

static int add_allocation(struct handshake *handshake, uint32_t id)
{
	unsigned char data[4 + sizeof(ALLOCATION) - 1];

	wire_put32(data, id);
	memcpy(data + 4, ALLOCATION, sizeof(ALLOCATION) - 1);
	return handshake_add_reply(handshake, NBD_REP_META_CONTEXT, data, sizeof(data));
}

static int answer(struct handshake *handshake, const struct server_export *export, bool found)
{
	bool listing = handshake->option == NBD_OPT_LIST_META_CONTEXT;
	int result = 0;

	if (found && export->device->ops->extents) {
		if (!listing)
			handshake->agreement.allocation = export;
		/* The number means nothing in a list ("NBD_OPT_LIST_META_CONTEXT"). */
		result = add_allocation(handshake, listing ? 0 : ALLOCATION_CONTEXT);
	}
	return result ? result : handshake_acknowledge(handshake);
}

int handshake_contexts(struct handshake *handshake)
{
	struct cursor cursor = { .at = handshake->data, .left = handshake->length };
	bool listing = handshake->option == NBD_OPT_LIST_META_CONTEXT;
	const char *name;
	size_t length;
	bool found;

	/* "Replaces all previously-set metadata contexts (including when this command fails)". */
	if (!listing)
		handshake->agreement.allocation = NULL;
	if (handshake->agreement.style == STYLE_SIMPLE)
		return handshake_refuse(handshake, NBD_REP_ERR_INVALID,
			"structured replies must be agreed on before metadata contexts");
	if (!take_string(&cursor, &name, &length) || !take_queries(&cursor, listing, &found))
		return handshake_refuse(handshake, NBD_REP_ERR_INVALID,
			"the option's length does not fit the names and queries in it");
	const struct server_export *export = server_find_export(handshake->server, name, length);
	if (!export)
		return handshake_refuse(
			handshake, NBD_REP_ERR_UNKNOWN, "there is no export of this name");
	return answer(handshake, export, found);
}
