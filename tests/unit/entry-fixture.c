/* SPDX-License-Identifier: Apache-2.0 */
#include "entry-fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fake-sysfs.h"

char *entry_folder;

void entry_path(char path[256], const char *name)
{
	snprintf(path, 256, "%s/%s", entry_folder, name);
}

void entry_write_bytes(const char *name, const char *bytes, size_t length)
{
	char path[256];

	entry_path(path, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

void entry_write(const char *name, const char *text)
{
	entry_write_bytes(name, text, strlen(text));
}

int entry_set_up(void **state)
{
	(void)state;
	entry_folder = fake_root();
	fake_folder(entry_folder, "nbd");
	fake_folder(entry_folder, "hotplug");
	return 0;
}

int entry_tear_down(void **state)
{
	(void)state;
	fake_remove(entry_folder);
	return 0;
}

/* "one two" of a NULL-terminated array. */
static const char *joined(char **strings)
{
	static char text[1024];

	*text = '\0';
	for (; strings && *strings; strings++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			*text ? " " : "", *strings);
	return text;
}

static void check_entry(const struct nbdt_entry *entry, const struct entry_sample *sample)
{
	if (sample->error) {
		assert_int_equal(entry->error.code, -EINVAL);
		if (!strstr(entry->error.text, sample->error))
			fail_msg("'%s' is not in '%s'", sample->error, entry->error.text);
		return;
	}
	if (entry->error.code)
		fail_msg("'%s' is refused: %s", sample->text, entry->error.text);
	assert_string_equal(entry->name, sample->name);
	assert_string_equal(joined(entry->sources), sample->sources);
	assert_string_equal(joined(entry->options), sample->options);
	assert_int_equal(entry->auto_attach, sample->auto_attach);
}

void entry_check_samples(const char *file, const struct entry_sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct nbdt_entry *entries;
		struct nbdt_error err;
		size_t found;

		entry_write(file, samples[i].text);
		assert_int_equal(
			nbdt_entries_read(entry_folder, entry_folder, &entries, &found, &err), 0);
		if (found != 1)
			fail_msg("%zu entries in '%s'", found, samples[i].text);
		check_entry(&entries[0], &samples[i]);
		nbdt_entries_free(entries, found);
	}
}
