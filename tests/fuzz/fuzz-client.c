/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client, against a server that may say anything. The first byte chooses what the client does,
 * a bit for each: LIST, INFO, GO, GO again, taking the socket, and before all of them asking for
 * structured replies and extended headers, and for metadata contexts. All else is the server's.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

/* Milliseconds, never reached: all that will ever come is there. */
#define TIMEOUT 60000

enum action {
	ACTION_LIST = 1 << 0,
	ACTION_INFO = 1 << 1,
	ACTION_GO = 1 << 2,
	ACTION_GO_AGAIN = 1 << 3,
	ACTION_TAKE_SOCKET = 1 << 4,
	ACTION_NEGOTIATE = 1 << 5,
	ACTION_CONTEXTS = 1 << 6,
};

static int check_listed(const char *name, const char *description, void *arg)
{
	unsigned int *count = arg;

	fuzz_check(strlen(name) <= NBDT_MAX_STRING, "a listed name is too long");
	fuzz_check(!description || strlen(description) <= NBDT_MAX_STRING,
		"a listed description is too long");
	++*count;
	return 0;
}

static int check_context(const char *name, void *arg)
{
	(void)arg;
	fuzz_check(*name && strlen(name) <= NBDT_MAX_STRING, "a context's name");
	return 0;
}

static void negotiate(struct nbdt_client *client)
{
	struct nbdt_error err = { 0 };
	int result = nbdt_client_negotiate(
		client, NBDT_WANT_STRUCTURED | NBDT_WANT_EXTENDED, &err);

	if (result)
		fuzz_check_error(result, &err);
	fuzz_check(nbdt_client_uses_structured(client) || !nbdt_client_uses_extended(client),
		"extended headers without chunks");
}

static void ask_for_contexts(struct nbdt_client *client)
{
	static const char *const query = "base:allocation";
	struct nbdt_error err = { 0 };
	size_t count;
	int result = nbdt_client_list_contexts(
		client, "disk", &query, 1, check_context, NULL, &err);

	if (result)
		fuzz_check_error(result, &err);
	result = nbdt_client_set_contexts(client, "disk", &query, 1, &err);
	if (result)
		fuzz_check_error(result, &err);
	const struct nbdt_context *contexts = nbdt_client_contexts(client, &count);
	fuzz_check(count <= NBDT_MAX_CONTEXTS && (!count || !result), "contexts after a failure");
	for (size_t i = 0; i < count; i++)
		check_context(contexts[i].name, NULL);
}

static bool power_of_two(uint32_t number)
{
	return number && !(number & (number - 1));
}

static void check_export(const struct nbdt_export *export)
{
	fuzz_check(export->size <= INT64_MAX, "the export is too large");
	fuzz_check(export->name && strlen(export->name) <= NBDT_MAX_STRING, "the export's name");
	fuzz_check(!(export->flags & ~0xdffu), "unknown flags are left");
	if (!export->has_block_sizes)
		return;
	fuzz_check(power_of_two(export->block_minimum) && export->block_minimum <= 65536,
		"the minimal block size is impossible");
	fuzz_check(power_of_two(export->block_preferred)
			&& export->block_preferred >= export->block_minimum,
		"the preferred block size is impossible");
	fuzz_check(export->block_maximum >= export->block_minimum
			&& export->block_maximum % export->block_minimum == 0,
		"the maximal block size is impossible");
}

static void ask(struct nbdt_client *client,
	int (*question)(struct nbdt_client *client, const char *name, struct nbdt_export *export,
		struct nbdt_error *err))
{
	struct nbdt_export export;
	struct nbdt_error err = { 0 };
	int result = question(client, "disk", &export, &err);

	if (!result) {
		check_export(&export);
	} else {
		fuzz_check_error(result, &err);
		fuzz_check(!export.name && !export.description, "a failure left an export behind");
		fuzz_check(result != -ETIMEDOUT, "the client waited after the end");
	}
	nbdt_export_clear(&export);
}

static void converse(struct nbdt_client *client, unsigned int actions)
{
	struct nbdt_error err = { 0 };
	unsigned int count = 0;
	int result = 0;

	if (actions & ACTION_NEGOTIATE)
		negotiate(client);
	if (actions & ACTION_CONTEXTS)
		ask_for_contexts(client);
	if (actions & ACTION_LIST)
		result = nbdt_client_list(client, check_listed, &count, &err);
	if (result)
		fuzz_check_error(result, &err);
	if (actions & ACTION_INFO)
		ask(client, nbdt_client_info);
	if (actions & ACTION_GO)
		ask(client, nbdt_client_go);
	if (actions & ACTION_GO_AGAIN)
		ask(client, nbdt_client_go);
	if (!(actions & ACTION_TAKE_SOCKET))
		return;
	int fd = nbdt_client_take_socket(client, &err);
	if (fd < 0)
		fuzz_check_error(fd, &err);
	else
		close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nbdt_client *client;
	struct nbdt_error err = { 0 };
	int other;

	if (!size)
		return -1;
	int fd = fuzz_socket(data + 1, size - 1, &other);
	int result = nbdt_client_adopt(fd, TIMEOUT, &client, &err);
	if (result) {
		fuzz_check_error(result, &err);
	} else {
		converse(client, data[0]);
		nbdt_client_close(client);
	}
	close(other);
	return 0;
}
