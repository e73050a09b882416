/* SPDX-License-Identifier: Apache-2.0 */
#include "json-writer.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "cleanup.h"
#include "escape.h"

static void begin_line(unsigned int depth)
{
	putchar('\n');
	for (unsigned int i = 0; i < depth; i++)
		fputs("  ", stdout);
}

/* All that comes before a value. Keys are our own, and need no escapes. */
static void begin_value(struct json_writer *writer, const char *key)
{
	if (writer->filled)
		putchar(',');
	if (writer->depth)
		begin_line(writer->depth);
	if (key)
		printf("\"%s\": ", key);
	writer->filled = true;
}

void json_open(struct json_writer *writer, const char *key, char bracket)
{
	begin_value(writer, key);
	putchar(bracket);
	writer->depth++;
	writer->filled = false;
}

void json_close(struct json_writer *writer, char bracket)
{
	writer->depth--;
	if (writer->filled)
		begin_line(writer->depth);
	putchar(bracket);
	if (!writer->depth)
		putchar('\n');
	writer->filled = true;
}

void json_string(struct json_writer *writer, const char *key, const char *text)
{
	CLEANUP_FREE char *valid = escape_invalid_utf8(text);
	struct json_object *string = valid ? json_object_new_string(valid) : NULL;

	begin_value(writer, key);
	/* Without memory it is null, which keeps the document whole. */
	fputs(json_object_to_json_string_ext(string, JSON_C_TO_STRING_NOSLASHESCAPE), stdout);
	json_object_put(string);
}

void json_number(struct json_writer *writer, const char *key, uint64_t number)
{
	begin_value(writer, key);
	printf("%" PRIu64, number);
}

void json_boolean(struct json_writer *writer, const char *key, bool value)
{
	begin_value(writer, key);
	fputs(value ? "true" : "false", stdout);
}
