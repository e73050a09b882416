/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "nbdtools-kernel.h"

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:-"

/* A name becomes a part of paths, of units' names and of command lines. */
bool nbdt_name_is_valid(const char *text)
{
	size_t length = strspn(text, ALPHABET);

	return length && length <= NBDT_MAX_NAME && !text[length] && *text != '.' && *text != '-';
}
