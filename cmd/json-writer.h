/* SPDX-License-Identifier: Apache-2.0 */
/* JSON written to stdout as it comes, for what is too long to be built in memory. */
#ifndef NBDT_JSON_WRITER_H
#define NBDT_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

/* All zero before the first call. */
struct json_writer {
	unsigned int depth;
	bool filled; /* the innermost object or array has something */
};

/* KEY: in an object, or NULL in an array and for the document itself. BRACKET: '{' or '['. */
void json_open(struct json_writer *writer, const char *key, char bracket);
/* BRACKET: '}' or ']'. The document's own is followed by a newline. */
void json_close(struct json_writer *writer, char bracket);

/* What is not UTF-8 in TEXT is written escaped, as escape_invalid_utf8() does. */
void json_string(struct json_writer *writer, const char *key, const char *text);
void json_number(struct json_writer *writer, const char *key, uint64_t number);
void json_boolean(struct json_writer *writer, const char *key, bool value);

#endif
