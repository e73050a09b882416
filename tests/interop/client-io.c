/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's client for the tests. Usage: client-io [--plain] [--structured] [--extended]
 * [--context NAME]… URI COMMAND…
 *
 * Without one of the first three it negotiates all that the server has. COMMANDs are single
 * arguments:
 *	facts				what was negotiated, and the export's size
 *	contexts			those that match the --context ones; alone
 *	write OFFSET LENGTH SEED [FLAG]…	a pattern of SEED
 *	verify OFFSET LENGTH SEED [FLAG]…	expects it; SEED zero: expects zeroes
 *	trim, zero, cache OFFSET LENGTH [FLAG]…
 *	flush
 *	map [OFFSET LENGTH [FLAG]…]	lines of CONTEXT OFFSET LENGTH FLAGS
 * FLAGs: fua, no-hole, df, one, fast. Numbers may have suffixes, as 32M.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nbdtools.h"

#define TIMEOUT 20000 /* milliseconds */
#define WORDS 80

struct words {
	size_t count;
	char *word[WORDS];
};

struct session {
	struct nbdt_client *client;
	struct nbdt_export export;
	struct nbdt_error err;
};

static uint64_t number(const struct words *words, size_t which)
{
	uint64_t value = 0;

	if (which < words->count)
		nbdt_parse_size(words->word[which], &value);
	return value;
}

static unsigned int flags_from(const struct words *words, size_t which)
{
	static const char *const names[] = { "fua", "no-hole", "df", "one", "fast" };
	unsigned int flags = 0;

	for (; which < words->count; which++)
		for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strcmp(words->word[which], names[i]))
				flags |= 1u << i;
	return flags;
}

/* No period that is a power of two, so that data in a wrong place is seen. */
static void fill(unsigned char *buffer, uint64_t offset, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		buffer[i] = (unsigned char)((offset + i) % 251 + (offset + i) / 65521 + seed);
}

static unsigned char *buffer_of(size_t length)
{
	unsigned char *buffer = malloc(length ? length : 1);

	if (!buffer)
		abort();
	return buffer;
}

static int do_write(struct session *session, const struct words *words)
{
	uint64_t offset = number(words, 1);
	size_t length = number(words, 2);
	unsigned char *buffer = buffer_of(length);

	fill(buffer, offset, length, (unsigned int)number(words, 3));
	int result = nbdt_client_pwrite(session->client, buffer, length, offset,
		flags_from(words, 4), &session->err);
	free(buffer);
	return result;
}

static int do_verify(struct session *session, const struct words *words)
{
	uint64_t offset = number(words, 1);
	size_t length = number(words, 2);
	unsigned char *buffer = buffer_of(length);
	unsigned char *expected = buffer_of(length);

	memset(buffer, 0x5a, length);
	memset(expected, 0, length);
	if (words->count > 3 && strcmp(words->word[3], "zero") != 0)
		fill(expected, offset, length, (unsigned int)number(words, 3));
	int result = nbdt_client_pread(session->client, buffer, length, offset,
		flags_from(words, 4), &session->err);
	for (size_t i = 0; !result && i < length; i++)
		if (buffer[i] != expected[i])
			result = nbdt_error_set(&session->err, -EILSEQ,
				"other data at offset %" PRIu64, offset + i);
	free(buffer);
	free(expected);
	return result;
}

static int do_trim(struct session *session, const struct words *words)
{
	return nbdt_client_trim(session->client, number(words, 1), number(words, 2),
		flags_from(words, 3), &session->err);
}

static int do_zero(struct session *session, const struct words *words)
{
	return nbdt_client_zero(session->client, number(words, 1), number(words, 2),
		flags_from(words, 3), &session->err);
}

static int do_cache(struct session *session, const struct words *words)
{
	return nbdt_client_cache(
		session->client, number(words, 1), number(words, 2), &session->err);
}

static int do_flush(struct session *session, const struct words *words)
{
	(void)words;
	return nbdt_client_flush(session->client, &session->err);
}

static int print_extent(
	const char *context, uint64_t offset, const struct nbdt_extent *extent, void *arg)
{
	(void)arg;
	printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", context, offset, extent->length,
		extent->flags);
	return 0;
}

static int do_map(struct session *session, const struct words *words)
{
	uint64_t length = words->count > 2 ? number(words, 2) : session->export.size;

	return nbdt_client_block_status(session->client, number(words, 1), length,
		flags_from(words, 3), print_extent, NULL, &session->err);
}

static int do_facts(struct session *session, const struct words *words)
{
	static const char *const handshakes[] = { "oldstyle", "newstyle", "fixed-newstyle" };
	size_t count;
	const struct nbdt_context *contexts = nbdt_client_contexts(session->client, &count);

	(void)words;
	printf("%s structured=%d extended=%d size=%" PRIu64 " blocks=%u,%u,%u",
		handshakes[nbdt_client_handshake(session->client)],
		nbdt_client_uses_structured(session->client),
		nbdt_client_uses_extended(session->client), session->export.size,
		session->export.block_minimum, session->export.block_preferred,
		session->export.block_maximum);
	for (size_t i = 0; i < count; i++)
		printf(" %s", contexts[i].name);
	putchar('\n');
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct session *session, const struct words *words);
} commands[] = {
	{ "facts", do_facts },
	{ "write", do_write },
	{ "verify", do_verify },
	{ "trim", do_trim },
	{ "zero", do_zero },
	{ "cache", do_cache },
	{ "flush", do_flush },
	{ "map", do_map },
};

static int run(struct session *session, char *text)
{
	struct words words = { 0 };
	char *save;

	for (char *word = strtok_r(text, " ", &save); word && words.count < WORDS;
		word = strtok_r(NULL, " ", &save))
		words.word[words.count++] = word;
	for (size_t i = 0; words.count && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, words.word[0]))
			return commands[i].run(session, &words);
	return nbdt_error_set(&session->err, -EINVAL, "unknown command");
}

static int print_context(const char *name, void *arg)
{
	(void)arg;
	printf("%s\n", name);
	return 0;
}

/* Only "contexts" comes before the export is chosen. */
static int run_all(struct session *session, const char *export_name, const struct words *contexts,
	char **texts)
{
	const char *const *queries = (const char *const *)contexts->word;
	int result = 0;

	if (*texts && !strcmp(*texts, "contexts"))
		return nbdt_client_list_contexts(session->client, export_name, queries,
			contexts->count, print_context, NULL, &session->err);
	if (contexts->count)
		result = nbdt_client_set_contexts(session->client, export_name, queries,
			contexts->count, &session->err);
	if (!result)
		result = nbdt_client_go(
			session->client, export_name, &session->export, &session->err);
	while (!result && *texts)
		result = run(session, *texts++);
	return result;
}

static int converse(
	const char *text, unsigned int wishes, const struct words *contexts, char **texts)
{
	struct session session = { 0 };
	struct nbdt_uri *uri = NULL;
	int result = nbdt_uri_parse(text, &uri, &session.err);

	if (!result)
		result = nbdt_client_connect(uri, TIMEOUT, &session.client, &session.err);
	if (!result)
		result = nbdt_client_negotiate(session.client, wishes, &session.err);
	if (!result)
		result = run_all(&session, uri->export_name, contexts, texts);
	if (result)
		fprintf(stderr, "client-io: %s\n", session.err.text);
	nbdt_client_close(session.client);
	nbdt_export_clear(&session.export);
	nbdt_uri_free(uri);
	return result ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "plain", no_argument, NULL, 'p' },
		{ "structured", no_argument, NULL, 's' },
		{ "extended", no_argument, NULL, 'e' },
		{ "context", required_argument, NULL, 'c' },
		{ 0 },
	};
	unsigned int wishes = NBDT_WANT_STRUCTURED | NBDT_WANT_EXTENDED;
	struct words contexts = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			wishes = 0;
		else if (option == 's')
			wishes = NBDT_WANT_STRUCTURED;
		else if (option == 'e')
			wishes = NBDT_WANT_EXTENDED;
		else if (option == 'c' && contexts.count < WORDS)
			contexts.word[contexts.count++] = optarg;
		else
			return 2;
	}
	if (optind + 1 >= argc) {
		fputs("Usage: client-io [OPTION]… URI COMMAND…\n", stderr);
		return 2;
	}
	return converse(argv[optind], wishes, &contexts, argv + optind + 1);
}
