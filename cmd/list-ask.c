/* SPDX-License-Identifier: Apache-2.0 */
#include "list-ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_TIMEOUT 10000u /* milliseconds */
/* Bytes: many times what honest servers have in names and descriptions. */
#define KEPT_MAXIMUM (32u * 1024 * 1024)
/* Bytes, about: what keeping a string costs besides it. */
#define KEPT_OVERHEAD 64

void ask_begin(struct asking *asking, const struct nbdt_uri *uri, unsigned int timeout,
	unsigned int patience)
{
	*asking = (struct asking){
		.uri = uri,
		.reply_timeout = timeout ? timeout : REPLY_TIMEOUT,
		.timeout = timeout ? timeout : patience,
	};
	clock_gettime(CLOCK_MONOTONIC, &asking->begin);
}

int64_t ask_time_passed(const struct asking *asking)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)(now.tv_sec - asking->begin.tv_sec) * 1000 +
	       (now.tv_nsec - asking->begin.tv_nsec) / 1000000;
}

static unsigned int time_left(const struct asking *asking)
{
	int64_t passed = ask_time_passed(asking);

	return passed < asking->timeout ? asking->timeout - (unsigned int)passed : 0;
}

static int negotiate(struct asking *asking, struct nbdt_error *err)
{
	asking->reached = true;
	asking->handshake = nbdt_client_handshake(asking->client);
	asking->tls = nbdt_client_uses_tls(asking->client);
	nbdt_client_limit(asking->client, time_left(asking));
	int result = nbdt_client_negotiate(
		asking->client, NBDT_WANT_STRUCTURED | NBDT_WANT_EXTENDED, err);
	if (result)
		return result;
	asking->structured = nbdt_client_uses_structured(asking->client);
	asking->extended = nbdt_client_uses_extended(asking->client);
	return 0;
}

int ask_open(struct asking *asking, struct nbdt_error *err)
{
	unsigned int timeout = time_left(asking);

	if (asking->client)
		return 0;
	if (!timeout)
		return nbdt_error_set(err, -ETIMEDOUT, "no time left: --timeout gives more");
	if (timeout > asking->reply_timeout)
		timeout = asking->reply_timeout;
	int result = nbdt_client_connect(asking->uri, timeout, &asking->client, err);
	if (!result)
		result = negotiate(asking, err);
	if (result)
		ask_close(asking);
	return result;
}

void ask_close(struct asking *asking)
{
	nbdt_client_close(asking->client);
	asking->client = NULL;
}

int ask_keep(struct asking *asking, const char *text, char **copy)
{
	asking->kept += strlen(text) + KEPT_OVERHEAD;
	if (asking->kept > KEPT_MAXIMUM)
		return -E2BIG;
	*copy = strdup(text);
	return *copy ? 0 : -ENOMEM;
}

struct context_taker {
	struct asking *asking;
	struct context_names *contexts;
};

static int take_context(const char *name, void *arg)
{
	struct context_taker *taker = arg;
	struct context_names *contexts = taker->contexts;

	/* At each power of two the array is full. */
	if (!(contexts->count & (contexts->count - 1))) {
		size_t room = contexts->count ? contexts->count * 2 : 1;
		char **names = reallocarray(contexts->names, room, sizeof(*names));
		if (!names)
			return -ENOMEM;
		contexts->names = names;
	}
	int result = ask_keep(taker->asking, name, &contexts->names[contexts->count]);
	contexts->count += !result;
	return result;
}

/* To be refused them does not keep anybody from the rest. */
static int ask_contexts(struct asking *asking, const char *name, struct context_names *contexts,
	struct nbdt_error *err)
{
	struct context_taker taker = { asking, contexts };

	if (!asking->structured || !contexts)
		return 0;
	nbdt_error_set(
		err, -E2BIG, "the server's names of metadata contexts are too long together");
	int result =
		nbdt_client_list_contexts(asking->client, name, NULL, 0, take_context, &taker, err);
	if (!result)
		return 0;
	clear_context_names(contexts);
	if (result == -EOPNOTSUPP)
		return 0;
	if (result != -ENXIO && result != -EREMOTEIO)
		return result;
	/* Not once for each of 100000 exports. */
	if (!asking->warned)
		say_warning("%s", err->text);
	asking->warned = true;
	return 0;
}

static int ask_info(struct asking *asking, const char *name, struct nbdt_export *export,
	struct context_names *contexts, struct nbdt_error *err)
{
	int result = nbdt_client_info(asking->client, name, export, err);

	/* nbd-server (3.24) answers INFO with a size of 0; only GO makes it look at the file. */
	if (!result && !export->size) {
		nbdt_export_clear(export);
		result = -EOPNOTSUPP;
	}
	if (result && result != -EOPNOTSUPP)
		return result;
	int told = ask_contexts(asking, name, contexts, err);
	return told ? told : result;
}

int ask_export(struct asking *asking, const char *name, struct nbdt_export *export,
	struct context_names *contexts, struct nbdt_error *err)
{
	int result = ask_open(asking, err);

	if (result)
		return result;
	result = ask_info(asking, name, export, contexts, err);
	if (!result || result == -ENXIO || result == -EREMOTEIO)
		return result;
	/* What only the choice of an export tells costs a connection, as each failure does. */
	if (result == -EOPNOTSUPP)
		result = nbdt_client_go(asking->client, name, export, err);
	ask_close(asking);
	return result;
}

void clear_context_names(struct context_names *contexts)
{
	for (size_t i = 0; i < contexts->count; i++)
		free(contexts->names[i]);
	free(contexts->names);
	*contexts = (struct context_names){ 0 };
}
