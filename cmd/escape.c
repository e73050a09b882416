/* SPDX-License-Identifier: Apache-2.0 */
#include "escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Decodes one character (RFC 3629: no overlong forms, no surrogates). Returns its length, 0 if
 * invalid.
 */
static size_t decode_utf8(const unsigned char *at, uint32_t *character)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = at[0] < 0x80              ? 1
			: (at[0] & 0xe0) == 0xc0 ? 2
			: (at[0] & 0xf0) == 0xe0 ? 3
			: (at[0] & 0xf8) == 0xf0 ? 4
						  : 0;
	if (length <= 1) {
		*character = at[0];
		return length;
	}
	*character = at[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (at[i] & 0x3f);
	}
	if (*character < smallest[length] || *character > 0x10ffff
		|| (*character >= 0xd800 && *character <= 0xdfff))
		return 0;
	return length;
}

/* C0, DEL and C1; and what ends a line or turns the direction of text (Unicode, UAX #9). */
static bool is_control(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character <= 0x9f)
	       || character == 0x200e || character == 0x200f
	       || (character >= 0x2028 && character <= 0x202e)
	       || (character >= 0x2066 && character <= 0x2069);
}

static char *escape(const char *text, bool for_terminal)
{
	const unsigned char *at = (const unsigned char *)text;
	char *escaped = malloc(strlen(text) * 4 + 1);
	char *end = escaped;

	while (escaped && *at) {
		uint32_t character;
		size_t length = decode_utf8(at, &character);

		bool bad = !length;
		if (for_terminal)
			bad = bad || is_control(character) || character == '\\';
		if (!bad) {
			memcpy(end, at, length);
			end += length;
			at += length;
			continue;
		}
		for (size_t rest = length ? length : 1; rest; rest--, at++)
			end += sprintf(end, "\\x%02x", *at);
	}
	if (escaped)
		*end = '\0';
	return escaped;
}

char *escape_invalid_utf8(const char *text)
{
	return escape(text, false);
}

char *escape_for_terminal(const char *text)
{
	return escape(text, true);
}
