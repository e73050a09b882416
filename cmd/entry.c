/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <stdio.h>
#include <string.h>

enum command_status entry_read_name(const char *argument, char name[NBDT_MAX_ENTRY_NAME + 1])
{
	snprintf(name, NBDT_MAX_ENTRY_NAME + 1, "%s", argument);
	for (char *at = name; *at; at++)
		if (*at == '/')
			*at = '-';
	if (strlen(argument) <= NBDT_MAX_ENTRY_NAME && nbdt_entry_name_valid(name))
		return STATUS_DONE;
	return usage_error("%.80s: not the name of an entry, which is up to %u letters, digits and"
			   " ._+:-",
		argument, NBDT_MAX_ENTRY_NAME);
}
