/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/nbdtab, as nbd-client reads it (its nbdtab(5)): one export a line, in three or four fields.
 * Unlike there, a line that is wrong spoils only itself, and an option that we cannot honour is an
 * error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"

#define BLANKS " \t\r"

enum { DEVICE, HOST, EXPORT, FIELDS };

/* What a line tells in its options about the way to the server. */
struct address {
	const char *port;
	bool is_unix;
};

enum meaning {
	PORT,
	UNIX,
	AUTO,
	FLAG,     /* an option of ours */
	VALUE,    /* ... that takes a value */
	UNBUILT,
	POINTLESS, /* needs what nbdtab cannot say, or what no kernel has any more */
};

static const struct option_meaning {
	const char *name; /* in nbdtab */
	enum meaning meaning;
	const char *option; /* of nbd-connect */
} meanings[] = {
	{ "port", PORT, NULL },
	{ "unix", UNIX, NULL },
	{ "_auto", AUTO, NULL },
	{ "bs", VALUE, "block-size" },
	{ "conns", VALUE, "connections" },
	{ "timeout", VALUE, "timeout" },
	{ "dead-timeout", VALUE, "dead-timeout" },
	{ "swap", FLAG, "swap" },
	{ "no_optgo", FLAG, "no-optgo" },
	{ "persist", UNBUILT, NULL },
	{ "tls", UNBUILT, NULL },
	{ "certfile", UNBUILT, NULL },
	{ "keyfile", UNBUILT, NULL },
	{ "cacertfile", UNBUILT, NULL },
	{ "tlshostname", UNBUILT, NULL },
	{ "priority", UNBUILT, NULL },
	{ "preinit", POINTLESS, NULL },
	{ "sdp", POINTLESS, NULL },
};

static const struct option_meaning *find_meaning(const char *name)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (!strcmp(meanings[i].name, name))
			return &meanings[i];
	return NULL;
}

static void set_auto(struct nbdt_entry *entry, const char *value)
{
	if (!value)
		entry->auto_attach = NBDT_AUTO_BOOT;
	else if (!strcmp(value, "module"))
		entry->auto_attach = NBDT_AUTO_MODULE;
	else
		entry_refuse(entry, 0, "_auto=%s: only _auto and _auto=module are known", value);
}

static bool value_fits(struct nbdt_entry *entry, const struct option_meaning *known,
	const char *value)
{
	bool takes_value = known->meaning == PORT || known->meaning == VALUE;

	if (takes_value && (!value || !*value))
		entry_refuse(entry, 0, "option '%s' needs a value", known->name);
	else if (!takes_value && known->meaning != AUTO && value)
		entry_refuse(entry, 0, "option '%s' takes no value", known->name);
	else
		return true;
	return false;
}

static void apply_option(struct nbdt_entry *entry, const struct option_meaning *known,
	const char *value, struct address *address)
{
	switch (known->meaning) {
	case PORT:
		address->port = value;
		break;
	case UNIX:
		address->is_unix = true;
		break;
	case AUTO:
		set_auto(entry, value);
		break;
	case FLAG:
	case VALUE:
		entry_set_option(entry, known->option, value);
		break;
	case UNBUILT:
	case POINTLESS:
		break;
	}
}

static void read_option(struct nbdt_entry *entry, char *option, struct address *address)
{
	char *value = strchr(option, '=');

	if (value)
		*value++ = '\0';
	const struct option_meaning *known = find_meaning(option);
	if (!*option)
		entry_refuse(entry, 0, "an empty option: commas separate them, without blanks");
	else if (!known && *option == '_')
		; /* nbd-client leaves these to others, for example "_netdev" */
	else if (!known)
		entry_refuse(entry, 0, "unknown option '%.100s'", option);
	else if (known->meaning == UNBUILT)
		entry_refuse(entry, 0,
			"option '%s' is not built yet: attach this entry with nbd-client", option);
	else if (known->meaning == POINTLESS)
		entry_refuse(entry, 0, "option '%s' is not supported: leave it out", option);
	else if (value_fits(entry, known, value))
		apply_option(entry, known, value, address);
}

/* The next word of a line; NULL at its end, or at a comment, which begins with '#'. */
static char *take_word(char **rest)
{
	for (char *word; (word = strsep(rest, BLANKS));) {
		if (*word == '#')
			break;
		if (*word)
			return word;
	}
	*rest = NULL;
	return NULL;
}

/* A line that is refused is read to its end too: with _auto it fails where that is seen. */
static void read_options(struct nbdt_entry *entry, char *rest, struct address *address)
{
	bool has_options = false;

	for (char *options; (options = take_word(&rest)); has_options = true) {
		if (has_options)
			entry_refuse(entry, 0,
				"more than four fields: commas separate options, without blanks");
		for (char *option; (option = strsep(&options, ","));)
			read_option(entry, option, address);
	}
}

/* "[::1]" is how everybody writes it, "::1" how the field has it. */
static char *without_brackets(char *host)
{
	size_t length = strlen(host);

	if (length < 2 || *host != '[' || host[length - 1] != ']')
		return host;
	host[length - 1] = '\0';
	return host + 1;
}

static void set_address(struct nbdt_entry *entry, char *host, const char *export,
	const struct address *address)
{
	struct nbdt_uri *uri = NULL;
	struct nbdt_error err;
	int result;

	if (address->is_unix && address->port)
		entry_refuse(entry, 0, "'unix' and 'port' exclude each other");
	if (address->is_unix && *host != '/')
		entry_refuse(entry, 0, "%.200s: not the absolute path of a socket", host);
	if (entry->error.code)
		return;
	if (address->is_unix)
		result = nbdt_uri_unix(host, export, &uri, &err);
	else
		result = nbdt_uri_tcp(without_brackets(host), address->port, export, &uri, &err);
	if (result) {
		entry_refuse(entry, 0, "%s", err.text);
		return;
	}
	char *text = nbdt_uri_format(uri);
	entry_add_source(entry, text ? text : "");
	if (!text)
		entry_refuse(entry, 0, "no memory");
	free(text);
	nbdt_uri_free(uri);
}

/* HAS_NUL: LINE ends before the end of its line. */
static void read_line(struct entry_list *list, const char *path, unsigned int number, char *line,
	bool has_nul)
{
	struct address address = { 0 };
	char *fields[FIELDS];
	char name[16];

	for (unsigned int i = 0; i < FIELDS; i++)
		fields[i] = take_word(&line);
	if (!fields[DEVICE] && !has_nul)
		return;
	int index = fields[DEVICE] ? entry_parse_device(fields[DEVICE]) : -1;
	snprintf(name, sizeof(name), "nbd%d", index);
	struct nbdt_entry *entry = entry_add(list, path, number, index < 0 ? NULL : name);
	if (!entry)
		return;
	if (has_nul)
		entry_refuse(entry, 0, "the line has a NUL byte");
	if (!fields[EXPORT]) {
		entry_refuse(entry, 0, "a line needs three fields: DEVICE HOST EXPORT");
		return;
	}
	if (index < 0)
		entry_refuse(entry, 0, "%.200s: not the name of an NBD device, as nbd0 is",
			fields[DEVICE]);
	else
		entry->index = index;
	read_options(entry, line, &address);
	set_address(entry, fields[HOST], fields[EXPORT], &address);
}

void nbdtab_parse(struct entry_list *list, const char *path, char *text, size_t length)
{
	char *end = text + length;

	for (unsigned int number = 1; text < end; number++) {
		char *newline = memchr(text, '\n', (size_t)(end - text));
		char *line_end = newline ? newline : end;

		*line_end = '\0';
		read_line(list, path, number, text, strlen(text) < (size_t)(line_end - text));
		text = line_end + 1;
	}
}
