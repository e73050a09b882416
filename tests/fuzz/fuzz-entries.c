/* SPDX-License-Identifier: Apache-2.0 */
/* nbdtab and conf files: an entry is either refused with a reason, or fit to be attached. */
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "fuzz.h"

static void check_strings(char **strings)
{
	for (; strings && *strings; strings++)
		fuzz_check(!strchr(*strings, '\n'), "a word spans lines");
}

/* Those of nbdtab were put together from words that may hold anything. */
static void check_uris(char **sources)
{
	for (; *sources; sources++) {
		struct nbdt_uri *uri;

		fuzz_check(!nbdt_uri_parse(*sources, &uri, NULL), "a source is no URI");
		nbdt_uri_free(uri);
	}
}

static void check_accepted(const struct nbdt_entry *entry)
{
	fuzz_check(entry->name && nbdt_entry_name_valid(entry->name), "a bad name is accepted");
	fuzz_check(entry->sources && entry->sources[0], "an entry without a source is accepted");
	fuzz_check(entry->kind == NBDT_KIND_REMOTE || !entry->sources[1], "two images");
	check_strings(entry->sources);
	if (entry->kind == NBDT_KIND_REMOTE)
		check_uris(entry->sources);
	else
		fuzz_check(*entry->sources[0] == '/', "an image's path is not absolute");
	for (char **option = entry->options; option && *option; option++)
		fuzz_check(!strncmp(*option, "--", 2), "an option is none");
	check_strings(entry->options);
}

static void check_list(struct entry_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct nbdt_entry *entry = &list->entries[i];

		fuzz_check(entry->origin, "nobody knows where an entry comes from");
		if (entry->error.code)
			fuzz_check_error(entry->error.code, &entry->error);
		else
			check_accepted(entry);
	}
	nbdt_entries_free(list->entries, list->count);
}

/* The first byte tells which of the two it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct entry_list list = { 0 };

	if (!size)
		return 0;
	char *text = malloc(size);
	fuzz_check(text, "no memory");
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (*data & 1)
		nbdtab_parse(&list, "/etc/nbdtab", text, size - 1);
	else
		entry_conf_parse(&list, "/etc/nbd/disk.conf", "disk", text, size - 1);
	check_list(&list);
	free(text);
	return 0;
}
