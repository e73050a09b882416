/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error that every function of the library fills: a number for programs, a sentence for people.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nbdtools-kernel.h"

/*
 * Servers choose some of the words that end up in errors, and errors end up on terminals: a control
 * character, C1 ones in UTF-8 (0xc2 0x80 to 0x9f) included, must not reach it.
 */
static void replace_controls(char *text)
{
	unsigned char *at = (unsigned char *)text;

	for (; *at; at++) {
		if (*at < 0x20 || *at == 0x7f)
			*at = '?';
		else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
			at[0] = at[1] = '?';
	}
}

__attribute__((format(printf, 3, 0))) static void set_text(
	struct nbdt_error *err, int code, const char *format, va_list arguments)
{
	err->code = code;
	vsnprintf(err->text, sizeof(err->text), format, arguments);
	replace_controls(err->text);
}

int nbdt_error_set(struct nbdt_error *err, int code, const char *format, ...)
{
	va_list arguments;

	if (!err)
		return code;
	va_start(arguments, format);
	set_text(err, code, format, arguments);
	va_end(arguments);
	return code;
}

int nbdt_error_errno(struct nbdt_error *err, int code, const char *format, ...)
{
	va_list arguments;
	size_t length;

	if (!err)
		return code;
	va_start(arguments, format);
	set_text(err, code, format, arguments);
	va_end(arguments);
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length, ": %s", strerrordesc_np(-code));
	return code;
}
