/* SPDX-License-Identifier: Apache-2.0 */
/* Replies to options ("Fixed newstyle negotiation"): receiving them in step, explaining errors. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client-internal.h"
#include "utf8.h"
#include "wire.h"

/*
 * Longest reply that is read, if only to be thrown away: nothing known has more than CLIENT_DATA,
 * future things might.
 */
#define REPLY_MAXIMUM (64u * 1024)

static const char *option_name(uint32_t option)
{
	switch (option) {
	case NBD_OPT_ABORT:
		return "ABORT";
	case NBD_OPT_LIST:
		return "LIST";
	case NBD_OPT_STARTTLS:
		return "STARTTLS";
	case NBD_OPT_INFO:
		return "INFO";
	case NBD_OPT_GO:
		return "GO";
	case NBD_OPT_STRUCTURED_REPLY:
		return "STRUCTURED_REPLY";
	case NBD_OPT_LIST_META_CONTEXT:
		return "LIST_META_CONTEXT";
	case NBD_OPT_SET_META_CONTEXT:
		return "SET_META_CONTEXT";
	case NBD_OPT_EXTENDED_HEADERS:
		return "EXTENDED_HEADERS";
	default:
		return "?";
	}
}

void client_excerpt(char *out, const char *text, size_t length)
{
	size_t used = length < CLIENT_EXCERPT - 1 ? length : CLIENT_EXCERPT - 1;

	if (utf8_valid(text, length)) {
		/* Not in the middle of a character. */
		while (used < length && used && ((unsigned char)text[used] & 0xc0) == 0x80)
			used--;
	}
	memcpy(out, text, used);
	out[used] = '\0';
	if (utf8_valid(out, used))
		return;
	for (; *out; out++)
		if ((unsigned char)*out >= 0x80)
			*out = '?';
}

/* Data beyond what we understand is read all the same, to stay in step. */
static int receive_data(struct nbdt_client *client, size_t length, struct nbdt_error *err)
{
	size_t kept = length < CLIENT_DATA ? length : CLIENT_DATA;
	int result = kept ? client_receive(client, client->data, kept, err) : 0;

	client->data[kept] = '\0';
	for (length -= kept; !result && length;) {
		unsigned char skipped[1024];
		size_t size = length < sizeof(skipped) ? length : sizeof(skipped);

		result = client_receive(client, skipped, size, err);
		length -= size;
	}
	return result;
}

static int check_header(struct nbdt_client *client, const struct nbd_option_reply_header *header,
	uint32_t option, struct nbdt_error *err)
{
	uint32_t length = wire_get32(&header->length);

	if (wire_get64(&header->magic) != NBD_OPT_REPLY_MAGIC)
		return nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: its reply to %s begins with a wrong magic",
			client->name, option_name(option));
	if (wire_get32(&header->option) != option)
		return nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: asked %s, it answered option %u", client->name,
			option_name(option), wire_get32(&header->option));
	if (length > REPLY_MAXIMUM)
		return nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: a reply to %s of %u bytes", client->name,
			option_name(option), length);
	if (wire_get32(&header->reply) == NBD_REP_ACK && length)
		return nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: an acknowledgement of %s with data",
			client->name, option_name(option));
	return 0;
}

int client_receive_reply(struct nbdt_client *client, uint32_t option, struct option_reply *reply,
	struct nbdt_error *err)
{
	struct nbd_option_reply_header header;
	int result = client_receive(client, &header, sizeof(header), err);

	if (result)
		return result;
	result = check_header(client, &header, option, err);
	if (result)
		return client_broken(client, result);
	reply->type = wire_get32(&header.reply);
	reply->length = wire_get32(&header.length);
	return receive_data(client, reply->length, err);
}

int client_misplaced_reply(struct nbdt_client *client, uint32_t option,
	const struct option_reply *reply, struct nbdt_error *err)
{
	client->phase = CLIENT_BROKEN;
	return nbdt_error_set(err, -EPROTO,
		"%.200s broke the protocol: reply type %u does not answer %s", client->name,
		reply->type, option_name(option));
}

static const char *refusal_reason(uint32_t type)
{
	switch (type) {
	case NBD_REP_ERR_POLICY:
		return "its policy forbids it";
	case NBD_REP_ERR_INVALID:
		return "it finds the request invalid";
	case NBD_REP_ERR_PLATFORM:
		return "its platform cannot do it";
	case NBD_REP_ERR_SHUTDOWN:
		return "it is shutting down";
	case NBD_REP_ERR_BLOCK_SIZE_REQD:
		return "it wants its block sizes to be kept, although they were asked for";
	case NBD_REP_ERR_TOO_BIG:
		return "the request or its answer is too large";
	case NBD_REP_ERR_EXT_HEADER_REQD:
		return "it wants extended headers";
	default:
		return "for a reason unknown here";
	}
}

/* What was refused, as the end of "SERVER refuses …". */
static void describe_request(char *out, size_t size, uint32_t option, const char *name)
{
	char excerpt[CLIENT_EXCERPT];
	const char *what = "";

	if (!name) {
		snprintf(out, size, "%s", option == NBD_OPT_LIST ? "to list its exports" : "");
		return;
	}
	if (option == NBD_OPT_LIST_META_CONTEXT || option == NBD_OPT_SET_META_CONTEXT)
		what = "metadata contexts of ";
	client_excerpt(excerpt, name, strlen(name));
	if (*excerpt)
		snprintf(out, size, "%sthe export '%s'", what, excerpt);
	else
		snprintf(out, size, "%sthe default export", what);
}

/* TEXT: the server's own words, as the end of the sentence. */
static int unknown_export(const struct nbdt_client *client, const char *name, const char *text,
	struct nbdt_error *err)
{
	char excerpt[CLIENT_EXCERPT];

	if (!name || !*name)
		return nbdt_error_set(err, -ENXIO,
			"%.200s has no default export: name one of those it lists%s", client->name,
			text);
	client_excerpt(excerpt, name, strlen(name));
	return nbdt_error_set(err, -ENXIO, "%.100s has no export '%s'%s", client->name, excerpt,
		text);
}

int client_refused(struct nbdt_client *client, uint32_t option, const char *name,
	const struct option_reply *reply, struct nbdt_error *err)
{
	char request[CLIENT_EXCERPT + 48];
	char text[CLIENT_EXCERPT + 2] = ": ";
	size_t length = reply->length < CLIENT_DATA ? reply->length : CLIENT_DATA;

	client_excerpt(text + 2, (const char *)client->data, length);
	if (!text[2])
		*text = '\0';
	switch (reply->type) {
	case NBD_REP_ERR_UNSUP:
		return nbdt_error_set(err, -EOPNOTSUPP, "%.200s does not know the option %s%s",
			client->name, option_name(option), text);
	case NBD_REP_ERR_UNKNOWN:
		return unknown_export(client, name, text, err);
	case NBD_REP_ERR_TLS_REQD:
		return nbdt_error_set(err, -EREMOTEIO,
			"%.200s requires TLS: ask for it by nbds instead of nbd%s", client->name,
			text);
	default:
		break;
	}
	describe_request(request, sizeof(request), option, name);
	return nbdt_error_set(err, -EREMOTEIO, "%.100s refuses %s: %s%s", client->name, request,
		refusal_reason(reply->type), text);
}
