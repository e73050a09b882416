/* SPDX-License-Identifier: Apache-2.0 */
/* The options that a client sends, one function for each ("Option types"); ABORT is in client.c. */
#include <errno.h>
#include <string.h>

#include "client-internal.h"
#include "utf8.h"
#include "wire.h"

/* No honest server comes near these. */
#define LIST_MAXIMUM 100000u
#define INFORMATION_MAXIMUM 100u

int client_begin_option(struct nbdt_client *client, const char *name, struct nbdt_error *err)
{
	if (client->phase != CLIENT_HAGGLING)
		return nbdt_error_set(err, -EINVAL,
			"%.200s: no options can be sent on this connection any more", client->name);
	if (name && strlen(name) > NBDT_MAX_STRING)
		return nbdt_error_set(err, -EINVAL,
			"the export's name has %zu bytes, NBD allows %u", strlen(name),
			NBDT_MAX_STRING);
	if (name && !utf8_valid(name, strlen(name)))
		return nbdt_error_set(err, -EINVAL, "the export's name is not valid UTF-8");
	client_renew_deadline(client);
	return 0;
}

int client_send_option(struct nbdt_client *client, uint32_t option, struct iovec *vector, int count,
	struct nbdt_error *err)
{
	struct nbd_option_header header;
	size_t length = 0;

	for (int i = 1; i < count; i++)
		length += vector[i].iov_len;
	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.length, (uint32_t)length);
	vector[0].iov_base = &header;
	vector[0].iov_len = sizeof(header);
	return client_send(client, vector, count, err);
}

static int malformed_listing(struct nbdt_client *client, struct nbdt_error *err)
{
	client->phase = CLIENT_BROKEN;
	return nbdt_error_set(err, -EPROTO,
		"%.200s broke the protocol: an export is listed with a name or description that"
		" is too long or has a NUL",
		client->name);
}

/* NBD_REP_SERVER: 32-bit length of the name, name, description up to the end. */
static int take_listed(struct nbdt_client *client, size_t length,
	int (*each)(const char *name, const char *description, void *arg), void *arg,
	struct nbdt_error *err)
{
	char *text = (char *)client->data;

	if (length < 4 || length > CLIENT_DATA)
		return malformed_listing(client, err);
	size_t name_length = wire_get32(text);
	if (name_length > length - 4 || name_length > NBDT_MAX_STRING
		|| length - 4 - name_length > NBDT_MAX_STRING || memchr(text + 4, '\0', length - 4))
		return malformed_listing(client, err);
	const char *description = length > 4 + name_length ? text + 4 + name_length : NULL;
	/* Over its own length, so that there is room to terminate it. */
	memmove(text, text + 4, name_length);
	text[name_length] = '\0';
	int result = each(text, description, arg);
	return result ? client_broken(client, result) : 0;
}

int nbdt_client_list(struct nbdt_client *client,
	int (*each)(const char *name, const char *description, void *arg), void *arg,
	struct nbdt_error *err)
{
	struct iovec vector[1];
	struct option_reply reply;

	if (client->handshake != NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		return nbdt_error_set(err, -EOPNOTSUPP, "%.200s cannot list its exports",
			client->name);
	int result = client_begin_option(client, NULL, err);
	if (!result)
		result = client_send_option(client, NBD_OPT_LIST, vector, 1, err);
	for (unsigned int count = 0; !result && count <= LIST_MAXIMUM; count++) {
		result = client_receive_reply(client, NBD_OPT_LIST, &reply, err);
		if (result)
			return result;
		if (reply.type == NBD_REP_ACK)
			return 0;
		if (reply.type & NBD_REP_FLAG_ERROR)
			return client_refused(client, NBD_OPT_LIST, NULL, &reply, err);
		if (reply.type != NBD_REP_SERVER)
			return client_misplaced_reply(client, NBD_OPT_LIST, &reply, err);
		if (count < LIST_MAXIMUM)
			result = take_listed(client, reply.length, each, arg, err);
	}
	if (result)
		return result;
	client->phase = CLIENT_BROKEN;
	return nbdt_error_set(err, -E2BIG, "%.200s lists more than %u exports", client->name,
		LIST_MAXIMUM);
}

/* Replies up to the final one. 0 after an acknowledgement. */
static int gather_info(struct nbdt_client *client, uint32_t option, const char *name,
	struct export_info *info, struct nbdt_error *err)
{
	struct option_reply reply;

	for (unsigned int count = 0; count <= INFORMATION_MAXIMUM; count++) {
		int result = client_receive_reply(client, option, &reply, err);
		if (result)
			return result;
		if (reply.type == NBD_REP_ACK)
			return 0;
		if (reply.type & NBD_REP_FLAG_ERROR)
			return client_refused(client, option, name, &reply, err);
		if (reply.type != NBD_REP_INFO)
			return client_misplaced_reply(client, option, &reply, err);
		result = client_take_info(client, info, reply.length, err);
		if (result)
			return client_broken(client, result);
	}
	client->phase = CLIENT_BROKEN;
	return nbdt_error_set(err, -EPROTO, "%.200s sends informations on an export without end",
		client->name);
}

/* INFO and GO, which are the same but for what follows. Leaves in INFO what was told. */
static int inquire(struct nbdt_client *client, uint32_t option, const char *name,
	struct export_info *info, struct nbdt_error *err)
{
	/* Whoever asks for the block sizes promises to keep to them ("Size constraints"). */
	static const unsigned char wishes[] = { 0, 2, 0, NBD_INFO_DESCRIPTION, 0,
		NBD_INFO_BLOCK_SIZE };
	unsigned char name_length[4];
	struct iovec vector[4] = {
		[1] = { .iov_base = name_length, .iov_len = sizeof(name_length) },
		[2] = { .iov_base = (void *)name, .iov_len = strlen(name) },
		[3] = { .iov_base = (void *)wishes, .iov_len = sizeof(wishes) },
	};

	wire_put32(name_length, (uint32_t)strlen(name));
	int result = client_send_option(client, option, vector, 4, err);
	if (!result)
		result = gather_info(client, option, name, info, err);
	if (!result && !info->complete) {
		client->phase = CLIENT_BROKEN;
		result = nbdt_error_set(err, -EPROTO,
			"%.200s broke the protocol: it offers an export without telling its size",
			client->name);
	}
	return result;
}

int nbdt_client_info(struct nbdt_client *client, const char *name, struct nbdt_export *export,
	struct nbdt_error *err)
{
	struct export_info info = { 0 };

	memset(export, 0, sizeof(*export));
	if (client->handshake != NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		return nbdt_error_set(err, -EOPNOTSUPP, "%.200s does not know the option INFO",
			client->name);
	int result = client_begin_option(client, name, err);
	if (!result)
		result = inquire(client, NBD_OPT_INFO, name, &info, err);
	if (!result)
		return client_finish_info(client, &info, name, export, err);
	nbdt_export_clear(&info.export);
	return result;
}

/* A server that has no such export can only hang up. */
static int explain_hangup(
	struct nbdt_client *client, const char *name, int result, struct nbdt_error *err)
{
	char excerpt[CLIENT_EXCERPT];

	if (result != -ECONNRESET)
		return result;
	client_excerpt(excerpt, name, strlen(name));
	return nbdt_error_set(err, -ENXIO,
		"%.200s hung up when asked for the export '%s': it does not exist, or is refused",
		client->name, excerpt);
}

static int choose_by_name(struct nbdt_client *client, const char *name, struct export_info *info,
	struct nbdt_error *err)
{
	struct nbd_export_name_reply reply;
	struct iovec vector[2] = {
		[1] = { .iov_base = (void *)name, .iov_len = strlen(name) },
	};
	size_t told = sizeof(reply) - sizeof(reply.zeroes);
	int result = client_send_option(client, NBD_OPT_EXPORT_NAME, vector, 2, err);

	if (!result)
		result = client_receive(client, &reply, told, err);
	if (result)
		return explain_hangup(client, name, result, err);
	if (!client->no_zeroes)
		result = client_receive(client, reply.zeroes, sizeof(reply.zeroes), err);
	if (result)
		return result;
	info->complete = true;
	info->export.size = wire_get64(&reply.size);
	info->export.flags = wire_get16(&reply.flags);
	return 0;
}

/* The handshake was over with the greeting, which told everything. */
static int take_oldstyle(struct nbdt_client *client, const char *name, struct export_info *info,
	struct nbdt_error *err)
{
	if (client->phase != CLIENT_TRANSMISSION)
		return nbdt_error_set(err, -EINVAL,
			"%.200s: this connection cannot be used any more", client->name);
	if (*name)
		return nbdt_error_set(err, -ENXIO,
			"%.200s is an oldstyle server with a single export, which has no name",
			client->name);
	info->complete = true;
	info->export.size = client->oldstyle_size;
	info->export.flags = client->oldstyle_flags;
	return 0;
}

static int choose(struct nbdt_client *client, const char *name, struct export_info *info,
	struct nbdt_error *err)
{
	if (client->handshake == NBDT_HANDSHAKE_OLDSTYLE)
		return take_oldstyle(client, name, info, err);
	int result = client_begin_option(client, name, err);
	if (result)
		return result;
	/* Extended headers forbid EXPORT_NAME. */
	bool go = client->extended || !client->avoid_go;
	result = -EOPNOTSUPP;
	if (client->handshake == NBDT_HANDSHAKE_FIXED_NEWSTYLE && go)
		result = inquire(client, NBD_OPT_GO, name, info, err);
	if (result != -EOPNOTSUPP)
		return result;
	if (client->extended)
		return nbdt_error_set(err, client_broken(client, -EPROTO),
			"%.200s broke the protocol: it agreed on extended headers, which forbid the"
			" option EXPORT_NAME, and does not know GO",
			client->name);
	/* What may have come before the error was not about what will be chosen now. */
	nbdt_export_clear(&info->export);
	return choose_by_name(client, name, info, err);
}

void nbdt_client_avoid_go(struct nbdt_client *client)
{
	client->avoid_go = true;
}

int nbdt_client_go(struct nbdt_client *client, const char *name, struct nbdt_export *export,
	struct nbdt_error *err)
{
	struct export_info info = { 0 };

	memset(export, 0, sizeof(*export));
	int result = choose(client, name, &info, err);
	if (result) {
		nbdt_export_clear(&info.export);
		return result;
	}
	result = client_finish_info(client, &info, name, export, err);
	if (!result) {
		result = client_enter_transmission(client, export, err);
		if (result)
			nbdt_export_clear(export);
	}
	client->phase = result ? CLIENT_REFUSED : CLIENT_TRANSMISSION;
	return result;
}
