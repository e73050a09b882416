/* SPDX-License-Identifier: Apache-2.0 */
/* One entry: building, refusing, freeing it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"

static char *format_origin(const char *path, unsigned int line)
{
	char *origin;

	if (!line)
		return strdup(path);
	return asprintf(&origin, "%s:%u", path, line) < 0 ? NULL : origin;
}

struct nbdt_entry *entry_add(
	struct entry_list *list, const char *path, unsigned int line, const char *name)
{
	struct nbdt_entry *entries =
		reallocarray(list->entries, list->count + 1, sizeof(*entries));

	if (!entries) {
		list->no_memory = true;
		return NULL;
	}
	list->entries = entries;
	struct nbdt_entry *entry = &entries[list->count];
	memset(entry, 0, sizeof(*entry));
	entry->kind = NBDT_KIND_REMOTE;
	entry->index = NBDT_INDEX_ANY;
	entry->origin = format_origin(path, line);
	entry->name = name ? strdup(name) : NULL;
	if (!entry->origin || (name && !entry->name)) {
		nbdt_entry_clear(entry);
		list->no_memory = true;
		return NULL;
	}
	list->count++;
	return entry;
}

void entry_refuse(struct nbdt_entry *entry, unsigned int line, const char *format, ...)
{
	char reason[sizeof(entry->error.text)];
	va_list arguments;

	if (entry->error.code)
		return;
	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	if (line)
		nbdt_error_set(&entry->error, -EINVAL, "%s:%u: %s", entry->origin, line, reason);
	else
		nbdt_error_set(&entry->error, -EINVAL, "%s: %s", entry->origin, reason);
}

/* Takes TEXT over, NULL (no memory) included. */
static void append(struct nbdt_entry *entry, char ***array, char *text)
{
	size_t count = 0;

	while (*array && (*array)[count])
		count++;
	char **longer = text ? reallocarray(*array, count + 2, sizeof(*longer)) : NULL;
	if (!longer) {
		free(text);
		entry_refuse(entry, 0, "no memory");
		return;
	}
	longer[count] = text;
	longer[count + 1] = NULL;
	*array = longer;
}

void entry_add_source(struct nbdt_entry *entry, const char *source)
{
	append(entry, &entry->sources, strdup(source));
}

static bool is_same_option(const char *one, const char *other)
{
	size_t length = strcspn(one, "=");

	return length == strcspn(other, "=") && !strncmp(one, other, length);
}

void entry_set_option(struct nbdt_entry *entry, const char *name, const char *value)
{
	char **given = entry->options;
	char *option;

	if (asprintf(&option, "--%s%s%s", name, value ? "=" : "", value ? value : "") < 0)
		option = NULL;
	while (option && given && *given && !is_same_option(*given, option))
		given++;
	if (!option || !given || !*given) {
		append(entry, &entry->options, option);
		return;
	}
	free(*given);
	*given = option;
}

int entry_parse_device(const char *text)
{
	static const char folder[] = "/dev/";

	if (!strncmp(text, folder, strlen(folder)))
		text += strlen(folder);
	return strchr(text, '/') ? -EINVAL : nbdt_device_parse(text, false);
}

static void free_strings(char **strings)
{
	for (char **string = strings; string && *string; string++)
		free(*string);
	free(strings);
}

void nbdt_entry_clear(struct nbdt_entry *entry)
{
	free(entry->name);
	free(entry->origin);
	free_strings(entry->sources);
	free_strings(entry->options);
	memset(entry, 0, sizeof(*entry));
}

void nbdt_entries_free(struct nbdt_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		nbdt_entry_clear(&entries[i]);
	free(entries);
}
