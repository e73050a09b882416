/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata contexts: NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT ("Metadata querying"). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "client-internal.h"
#include "utf8.h"
#include "wire.h"

/* No honest server comes near it. */
#define LIST_MAXIMUM 100000u

void client_clear_contexts(struct nbdt_client *client)
{
	struct client_contexts *contexts = &client->contexts;

	for (size_t i = 0; i < contexts->count; i++)
		free((void *)(uintptr_t)contexts->list[i].name);
	free(contexts->export_name);
	memset(contexts, 0, sizeof(*contexts));
}

const struct nbdt_context *nbdt_client_contexts(const struct nbdt_client *client, size_t *count)
{
	*count = client->contexts.count;
	return client->contexts.list;
}

static int check_queries(const char *const *queries, size_t count, struct nbdt_error *err)
{
	char excerpt[CLIENT_EXCERPT];

	if (count > NBDT_MAX_CONTEXTS)
		return nbdt_error_set(err, -EINVAL,
			"%zu metadata contexts are asked for, more than %u", count,
			NBDT_MAX_CONTEXTS);
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(queries[i]);
		const char *colon = strchr(queries[i], ':');

		if (length <= NBDT_MAX_STRING && utf8_valid(queries[i], length) && colon
			&& colon != queries[i])
			continue;
		client_excerpt(excerpt, queries[i], length);
		return nbdt_error_set(err, -EINVAL,
			"'%s' is no metadata context: it takes a namespace, a colon and a name, in"
			" UTF-8 and at most %u bytes",
			excerpt, NBDT_MAX_STRING);
	}
	return 0;
}

static unsigned char *put_string(unsigned char *at, const char *text)
{
	size_t length = strlen(text);

	wire_put32(at, (uint32_t)length);
	memcpy(at + 4, text, length);
	return at + 4 + length;
}

static int send_queries(struct nbdt_client *client, uint32_t option, const char *export_name,
	const char *const *queries, size_t count, struct nbdt_error *err)
{
	/* Names of at most 4096 bytes, and few of them, cannot overflow. */
	size_t length = 4 + strlen(export_name) + 4;

	for (size_t i = 0; i < count; i++)
		length += 4 + strlen(queries[i]);
	CLEANUP_FREE unsigned char *data = malloc(length);
	if (!data)
		return nbdt_error_errno(err, -ENOMEM, "cannot ask for metadata contexts");
	unsigned char *at = put_string(data, export_name);
	wire_put32(at, (uint32_t)count);
	at += 4;
	for (size_t i = 0; i < count; i++)
		at = put_string(at, queries[i]);
	struct iovec vector[2] = { [1] = { .iov_base = data, .iov_len = length } };
	return client_send_option(client, option, vector, 2, err);
}

/* NBD_REP_META_CONTEXT: 32-bit identifier, name. Returns the latter, or NULL. */
static const char *context_name(const struct nbdt_client *client, size_t length)
{
	const char *name = (const char *)client->data + 4;

	if (length < 4 + 1 || length > 4 + NBDT_MAX_STRING || !utf8_valid(name, length - 4))
		return NULL;
	return name;
}

/* The contexts of an answer, one by one, up to the acknowledgement. */
static int receive_contexts(struct nbdt_client *client, uint32_t option, const char *export_name,
	int (*take)(struct nbdt_client *client, const char *name, void *arg,
		struct nbdt_error *err),
	void *arg, struct nbdt_error *err)
{
	struct option_reply reply;

	for (unsigned int count = 0;; count++) {
		int result = client_receive_reply(client, option, &reply, err);
		if (result || reply.type == NBD_REP_ACK)
			return result;
		if (reply.type & NBD_REP_FLAG_ERROR)
			return client_refused(client, option, export_name, &reply, err);
		if (reply.type != NBD_REP_META_CONTEXT)
			return client_misplaced_reply(client, option, &reply, err);
		const char *name = context_name(client, reply.length);
		if (!name)
			return nbdt_error_set(err, client_broken(client, -EPROTO),
				"%.200s broke the protocol: a metadata context whose name is"
				" empty, too long or not UTF-8",
				client->name);
		if (count == LIST_MAXIMUM)
			return nbdt_error_set(err, client_broken(client, -E2BIG),
				"%.200s lists more than %u metadata contexts", client->name,
				LIST_MAXIMUM);
		result = take(client, name, arg, err);
		if (result)
			return client_broken(client, result);
	}
}

static int query(struct nbdt_client *client, uint32_t option, const char *export_name,
	const char *const *queries, size_t count, struct nbdt_error *err)
{
	int result = check_queries(queries, count, err);

	if (result)
		return result;
	if (!client->structured)
		return nbdt_error_set(err, -EOPNOTSUPP,
			"%.200s: without structured replies there are no metadata contexts",
			client->name);
	result = client_begin_option(client, export_name, err);
	return result ? result
		      : send_queries(client, option, export_name, queries, count, err);
}

struct listing {
	int (*each)(const char *name, void *arg);
	void *arg;
};

static int take_listed(
	struct nbdt_client *client, const char *name, void *arg, struct nbdt_error *err)
{
	struct listing *listing = arg;

	(void)client;
	(void)err;
	return listing->each(name, listing->arg);
}

int nbdt_client_list_contexts(struct nbdt_client *client, const char *export_name,
	const char *const *queries, size_t count, int (*each)(const char *name, void *arg),
	void *arg, struct nbdt_error *err)
{
	struct listing listing = { each, arg };
	int result = query(client, NBD_OPT_LIST_META_CONTEXT, export_name, queries, count, err);

	if (result)
		return result;
	return receive_contexts(client, NBD_OPT_LIST_META_CONTEXT, export_name, take_listed,
		&listing, err);
}

static int take_selected(
	struct nbdt_client *client, const char *name, void *arg, struct nbdt_error *err)
{
	struct client_contexts *contexts = &client->contexts;
	uint32_t id = wire_get32(client->data);

	(void)arg;
	if (contexts->count == NBDT_MAX_CONTEXTS)
		return nbdt_error_set(err, -E2BIG,
			"%.200s selects more than %u metadata contexts", client->name,
			NBDT_MAX_CONTEXTS);
	for (size_t i = 0; i < contexts->count; i++)
		if (contexts->list[i].id == id)
			return nbdt_error_set(err, -EPROTO,
				"%.200s broke the protocol: two metadata contexts have the number"
				" %u",
				client->name, id);
	char *copy = strdup(name);
	if (!copy)
		return nbdt_error_errno(err, -ENOMEM, "cannot keep a metadata context's name");
	contexts->list[contexts->count++] = (struct nbdt_context){ .name = copy, .id = id };
	return 0;
}

int nbdt_client_set_contexts(struct nbdt_client *client, const char *export_name,
	const char *const *queries, size_t count, struct nbdt_error *err)
{
	int result = query(client, NBD_OPT_SET_META_CONTEXT, export_name, queries, count, err);

	if (result)
		return result;
	/* The option "replaces all previously-set metadata contexts", also where it fails. */
	client_clear_contexts(client);
	client->contexts.export_name = strdup(export_name);
	result = receive_contexts(client, NBD_OPT_SET_META_CONTEXT, export_name, take_selected,
		NULL, err);
	if (!result && !client->contexts.export_name)
		result = nbdt_error_errno(err, -ENOMEM, "cannot keep an export's name");
	if (result)
		client_clear_contexts(client);
	return result;
}
