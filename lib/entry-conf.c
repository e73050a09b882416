/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/nbd/NAME.conf: one entry, in lines "key = value" (nbd.conf(5)). Most keys are long options
 * of nbd-connect or nbd-loop.
 */
#include <string.h>

#include "entry.h"

#define BLANKS " \t\r"

enum meaning {
	URI,
	FILE_PATH,
	DEVICE,
	AUTO,
	FLAG,
	VALUE,
	UNBUILT,
};

enum { REMOTE = 1, LOOP = 2, BOTH = REMOTE | LOOP };

static const struct key {
	const char *name;
	enum meaning meaning;
	unsigned int kinds; /* which entries may have it */
} keys[] = {
	{ "uri", URI, BOTH },
	{ "file", FILE_PATH, BOTH },
	{ "device", DEVICE, BOTH },
	{ "auto", AUTO, BOTH },
	{ "connections", VALUE, BOTH },
	{ "ioctl", FLAG, BOTH },
	{ "read-only", FLAG, BOTH },
	{ "timeout", VALUE, BOTH },
	{ "block-size", VALUE, REMOTE },
	{ "connect-timeout", VALUE, REMOTE },
	{ "dead-timeout", VALUE, REMOTE },
	{ "identifier", VALUE, REMOTE },
	{ "no-optgo", FLAG, REMOTE },
	{ "swap", FLAG, REMOTE },
	{ "wait", VALUE, REMOTE },
	{ "direct-io", FLAG, LOOP },
	{ "discard", VALUE, LOOP },
	{ "offset", VALUE, LOOP },
	{ "overlay", VALUE, LOOP },
	{ "sector-size", VALUE, LOOP },
	{ "sizelimit", VALUE, LOOP },
	{ "ktls", UNBUILT, BOTH },
	{ "persist", UNBUILT, BOTH },
	{ "reconnect", UNBUILT, BOTH },
	{ "tls", UNBUILT, BOTH },
	{ "tls-certificates", UNBUILT, BOTH },
	{ "tls-hostname", UNBUILT, BOTH },
	{ "tls-psk", UNBUILT, BOTH },
	{ "tls-user", UNBUILT, BOTH },
	{ "tls-verify", UNBUILT, BOTH },
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

struct parser {
	struct nbdt_entry *entry;
	unsigned int line;
	unsigned int seen[KEY_COUNT]; /* line of each key, or 0 */
};

/* Without the blanks around it. */
static char *trim(char *text)
{
	text += strspn(text, BLANKS);
	for (size_t length = strlen(text); length && strchr(BLANKS, text[length - 1]);)
		text[--length] = '\0';
	return text;
}

static void add_uri(struct parser *parser, const char *value)
{
	struct nbdt_uri *uri;
	struct nbdt_error err;

	if (nbdt_uri_parse(value, &uri, &err)) {
		entry_refuse(parser->entry, parser->line, "%s", err.text);
		return;
	}
	nbdt_uri_free(uri);
	entry_add_source(parser->entry, value);
}

static void set_file(struct parser *parser, const char *value)
{
	parser->entry->kind = NBDT_KIND_LOOP;
	if (*value != '/')
		entry_refuse(parser->entry, parser->line, "%.200s: not an absolute path", value);
	else
		entry_add_source(parser->entry, value);
}

static void set_device(struct parser *parser, const char *value)
{
	struct nbdt_entry *entry = parser->entry;
	int index = entry_parse_device(value);

	if (index < 0)
		entry_refuse(entry, parser->line,
			"%.200s: not the name of an NBD device, as nbd0 is", value);
	else if (entry->index != NBDT_INDEX_ANY && entry->index != index)
		entry_refuse(entry, parser->line, "an entry named %s can only attach to nbd%d",
			entry->name, entry->index);
	else
		entry->index = index;
}

static void set_auto(struct parser *parser, const char *value)
{
	if (!strcmp(value, "yes"))
		parser->entry->auto_attach = NBDT_AUTO_BOOT;
	else if (!strcmp(value, "module"))
		parser->entry->auto_attach = NBDT_AUTO_MODULE;
	else if (strcmp(value, "no") != 0)
		entry_refuse(parser->entry, parser->line, "auto is yes, no or module, not '%.100s'",
			value);
}

static void set_flag(struct parser *parser, const char *name, const char *value)
{
	if (!strcmp(value, "yes"))
		entry_set_option(parser->entry, name, NULL);
	else if (strcmp(value, "no") != 0)
		entry_refuse(parser->entry, parser->line, "%s is yes or no, not '%.100s'", name,
			value);
}

static void apply(struct parser *parser, const struct key *key, const char *value)
{
	switch (key->meaning) {
	case URI:
		add_uri(parser, value);
		break;
	case FILE_PATH:
		set_file(parser, value);
		break;
	case DEVICE:
		set_device(parser, value);
		break;
	case AUTO:
		set_auto(parser, value);
		break;
	case FLAG:
		set_flag(parser, key->name, value);
		break;
	case VALUE:
		entry_set_option(parser->entry, key->name, value);
		break;
	case UNBUILT:
		entry_refuse(parser->entry, parser->line, "'%s' is not built yet", key->name);
		break;
	}
}

static void set_key(struct parser *parser, const char *name, const char *value)
{
	size_t i = 0;

	while (i < KEY_COUNT && strcmp(keys[i].name, name) != 0)
		i++;
	if (i == KEY_COUNT) {
		entry_refuse(parser->entry, parser->line, "unknown key '%.100s'", name);
	} else if (!*value) {
		entry_refuse(parser->entry, parser->line, "%s has no value", name);
	} else if (parser->seen[i] && keys[i].meaning != URI) {
		entry_refuse(parser->entry, parser->line, "%s was given in line %u already", name,
			parser->seen[i]);
	} else {
		parser->seen[i] = parser->line;
		apply(parser, &keys[i], value);
	}
}

static void read_line(struct parser *parser, char *line)
{
	line = trim(line);
	if (!*line || *line == '#' || *line == ';')
		return;
	char *equals = strchr(line, '=');
	if (!equals) {
		entry_refuse(parser->entry, parser->line, "a line is 'key = value'");
		return;
	}
	*equals = '\0';
	set_key(parser, trim(line), trim(equals + 1));
}

/* Only at the end is it known what kind of entry it is. */
static void check_kind(struct parser *parser)
{
	struct nbdt_entry *entry = parser->entry;
	unsigned int kind = entry->kind == NBDT_KIND_LOOP ? LOOP : REMOTE;

	if (!entry->sources)
		entry_refuse(entry, 0, "neither uri nor file is given");
	else if (kind == LOOP && entry->sources[1])
		entry_refuse(entry, 0, "uri and file exclude each other");
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (parser->seen[i] && !(keys[i].kinds & kind))
			entry_refuse(entry, parser->seen[i], "%s is for entries with %s",
				keys[i].name, kind == LOOP ? "uri" : "file");
}

void entry_conf_parse(struct entry_list *list, const char *path, const char *name, char *text,
	size_t length)
{
	struct parser parser = { .entry = entry_add(list, path, 0, name) };
	char *end = text + length;

	if (!parser.entry)
		return;
	int index = entry_parse_device(name);
	if (index >= 0)
		parser.entry->index = index;
	while (text < end) {
		char *newline = memchr(text, '\n', (size_t)(end - text));
		char *line_end = newline ? newline : end;

		parser.line++;
		*line_end = '\0';
		if (strlen(text) < (size_t)(line_end - text))
			entry_refuse(parser.entry, parser.line, "the line has a NUL byte");
		read_line(&parser, text);
		text = line_end + 1;
	}
	check_kind(&parser);
}
