/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <stdio.h>

enum command_status entry_read_name(const char *argument, char name[NBDT_MAX_NAME + 1])
{
	int length = snprintf(name, NBDT_MAX_NAME + 1, "%s", argument);

	for (char *at = name; *at; at++)
		if (*at == '/')
			*at = '-';
	if (length <= NBDT_MAX_NAME && nbdt_name_is_valid(name))
		return STATUS_DONE;
	return usage_error("%.80s: not the name of an entry, which is up to %d letters, digits and"
			   " ._+:-",
		argument, NBDT_MAX_NAME);
}
