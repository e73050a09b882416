/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "cleanup.h"
#include "link-names.h"

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			    "#+.:=@_-";

char *link_name_encode(const char *text)
{
	char name[LINK_NAME_MAXIMUM + 1];
	size_t length = 0;

	for (; *text; text++) {
		bool fits = strchr(plain, *text) != NULL;
		size_t size = fits ? 1 : 4;

		if (length + size > LINK_NAME_MAXIMUM)
			return NULL;
		if (fits)
			name[length] = *text;
		else
			snprintf(name + length, size + 1, "\\x%02x", (unsigned char)*text);
		length += size;
	}
	name[length] = '\0';
	return strdup(name);
}

static char *describe_file(const struct nbdt_record *record)
{
	char *text;
	int length = record->offset ? asprintf(&text, "file:%s@%" PRIu64, record->source,
					      record->offset)
				    : asprintf(&text, "file:%s", record->source);

	return length < 0 ? NULL : text;
}

static char *describe_uri(const struct nbdt_uri *uri)
{
	char *text = NULL;
	int length = -1;

	switch (uri->transport) {
	case NBDT_TRANSPORT_TCP:
		length = asprintf(&text, "%s:%s-%s", uri->host, uri->port, uri->export_name);
		break;
	case NBDT_TRANSPORT_UNIX:
		length = asprintf(&text, "unix:%s-%s", uri->socket, uri->export_name);
		break;
	case NBDT_TRANSPORT_VSOCK:
		length = asprintf(&text, "vsock:%s:%s-%s", uri->host, uri->port, uri->export_name);
		break;
	}
	return length < 0 ? NULL : text;
}

/* A source that is not a URI is what the user called it, which may look like anything. */
static char *describe_remote(const struct nbdt_record *record)
{
	struct nbdt_uri *uri;

	if (nbdt_uri_parse(record->source, &uri, NULL))
		return NULL;
	char *text = describe_uri(uri);
	nbdt_uri_free(uri);
	return text;
}

char *link_name_of_source(const struct nbdt_record *record)
{
	CLEANUP_FREE char *text = record->kind == NBDT_KIND_LOOP ? describe_file(record)
								 : describe_remote(record);

	return text ? link_name_encode(text) : NULL;
}

char *link_name_of_entry(const struct nbdt_record *record)
{
	if (!record->name || !strncmp(record->name, CLAIM_PREFIX, strlen(CLAIM_PREFIX)))
		return NULL;
	return link_name_encode(record->name);
}
