/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "nbdtools-kernel.h"

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:-"

/* A name becomes a part of paths, of units' names and of command lines. */
bool nbdt_entry_name_valid(const char *name)
{
	size_t length = strspn(name, ALPHABET);

	if (!length || length > NBDT_MAX_ENTRY_NAME || name[length])
		return false;
	return *name != '.' && *name != '-';
}
