/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

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

int entry_find(const char *name, struct nbdt_entry *entry, struct nbdt_error *err)
{
	return nbdt_entry_find("/etc", NBDT_RUN_DIR, name, entry, err);
}

int *entry_reserved_devices(size_t *count)
{
	struct nbdt_entry *entries;
	size_t all;

	*count = 0;
	if (nbdt_entries_read("/etc", NULL, &entries, &all, NULL))
		return NULL;
	int *devices = all ? calloc(all, sizeof(*devices)) : NULL;
	for (size_t i = 0; devices && i < all; i++)
		if (entries[i].index != NBDT_INDEX_ANY)
			devices[(*count)++] = entries[i].index;
	nbdt_entries_free(entries, all);
	return devices;
}

enum command_status entry_report(const struct nbdt_error *err)
{
	enum command_status status = report(NULL, err);

	if (err->code == -ENOENT)
		return STATUS_NOT_FOUND;
	return err->code == -EINVAL ? STATUS_USAGE : status;
}

enum command_status entry_read_options(const struct nbdt_entry *entry,
	enum command_status (*read)(int argc, char **argv, void *arguments), void *arguments)
{
	char *title;
	int count = 0;

	while (entry->options && entry->options[count])
		count++;
	CLEANUP_FREE char **argv = calloc((size_t)count + 2, sizeof(char *));
	/* getopt's messages begin with the first word. */
	if (!argv
		|| asprintf(&title, "%s: %s", program_invocation_short_name, entry->origin) < 0) {
		say_error("out of memory");
		return STATUS_FAILED;
	}
	argv[0] = title;
	if (count)
		memcpy(argv + 1, entry->options, (size_t)count * sizeof(char *));
	say_about(entry->origin);
	enum command_status status = read(count + 1, argv, arguments);
	say_about(NULL);
	free(title);
	return status;
}
