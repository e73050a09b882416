/* SPDX-License-Identifier: Apache-2.0 */
/* Entries: where they are found, odd files, and finding one by its name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "entry-fixture.h"
#include "fake-sysfs.h"

/* So that a boot does not pass it over in silence. */
static void refused_entries_are_still_automatic(void **state)
{
	static const char *const files[][2] = {
		{ "nbdtab", "nbd0 h d bs=4096, _auto\n" },
		{ "nbdtab", "nbd0 h d tls _auto\n" },
		{ "nbdtab", "nbd0 h d tls,_auto\n" },
		{ "nbd/disk.conf", "uri = nbd://h\ntls = yes\nauto = yes\n" },
	};
	struct nbdt_entry *entries;
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		entry_write("nbdtab", "");
		entry_write(files[i][0], files[i][1]);
		assert_int_equal(nbdt_entries_read(entry_folder, NULL, &entries, &count, NULL), 0);
		assert_int_equal(count, 1);
		assert_int_equal(entries[0].error.code, -EINVAL);
		assert_int_equal(entries[0].auto_attach, NBDT_AUTO_BOOT);
		nbdt_entries_free(entries, count);
	}
}

static void nul_bytes_are_refused(void **state)
{
	struct nbdt_entry *entries;
	size_t count;

	(void)state;
	entry_write_bytes("nbdtab", "nbd0 h d\0 tls\nnbd1 h d\n\0\n", 25);
	entry_write_bytes("nbd/disk.conf", "uri = nbd://h\0\n", 15);
	assert_int_equal(nbdt_entries_read(entry_folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 4);
	assert_int_equal(entries[0].error.code, -EINVAL);
	assert_int_equal(entries[1].error.code, 0);
	assert_int_equal(entries[2].error.code, -EINVAL);
	assert_int_equal(entries[3].error.code, -EINVAL);
	nbdt_entries_free(entries, count);
}

static void the_first_of_two_with_one_name_counts(void **state)
{
	struct nbdt_entry *entries;
	size_t count;

	(void)state;
	entry_write("nbdtab", "nbd1 h a\nnbd0 h a\nx\nnbd0 h b\nnbd10 h a\n");
	entry_write("nbd/nbd0.conf", "uri = nbd://h/c\n");
	assert_int_equal(nbdt_entries_read(entry_folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 6);
	assert_int_equal(entries[0].error.code, 0);
	assert_int_equal(entries[1].error.code, 0);
	assert_non_null(strstr(entries[3].error.text, "nbdtab:4: nbd0 is in "));
	assert_int_equal(entries[4].error.code, 0);
	assert_non_null(strstr(entries[5].error.text, "nbdtab:2 already"));
	nbdt_entries_free(entries, count);
}

static void odd_files_are_refused_and_hold_nobody_up(void **state)
{
	struct nbdt_entry *entries;
	char path[256];
	size_t count;

	(void)state;
	entry_path(path, "nbd/fifo.conf");
	assert_int_equal(mkfifo(path, 0600), 0);
	fake_folder(entry_folder, "nbd/folder.conf");
	fake_folder(entry_folder, "nbdtab");
	entry_write("nbd/my disk.conf", "uri = nbd://h\n");
	entry_write("nbd/a:b.conf", "uri = nbd://h\n");
	entry_write("nbd/.hidden.conf", "uri = nbd://h\n");
	entry_write("nbd/.conf", "uri = nbd://h\n");
	entry_write("nbd/note.txt", "uri = nbd://h\n");
	assert_int_equal(nbdt_entries_read(entry_folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(entries[i].error.code, -EINVAL);
	nbdt_entries_free(entries, count);
}

static void a_link_to_nothing_is_refused(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	fake_link(entry_folder, "nbd/disk.conf", "/nonexistent");
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "disk", &entry, &err), -EINVAL);
	assert_non_null(strstr(err.text, "disk.conf: No such file"));
	nbdt_entry_clear(&entry);
	fake_link(entry_folder, "hotplug/uri:0a.conf", "/nonexistent");
	assert_int_equal(nbdt_entry_find(NULL, entry_folder, "uri:0a", &entry, &err), -ENOENT);
	assert_non_null(strstr(err.text, "uri:0a: there is no such entry in "));
	assert_non_null(strstr(err.text, "/hotplug"));
	nbdt_entry_clear(&entry);
}

/* What is not found may be in what could not be read. */
static void an_unreadable_table_is_mentioned(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	fake_folder(entry_folder, "nbdtab");
	assert_int_equal(
		nbdt_entry_find(entry_folder, entry_folder, "nbd0", &entry, &err), -ENOENT);
	assert_non_null(strstr(err.text, "nbd0: there is no such entry in "));
	assert_non_null(strstr(err.text, "nbdtab: not a regular file"));
	nbdt_entry_clear(&entry);
}

static void a_file_without_end_is_refused(void **state)
{
	struct nbdt_entry *entries;
	char path[256];
	size_t count;

	(void)state;
	entry_write("nbdtab", "nbd0 h a\n");
	entry_path(path, "nbdtab");
	assert_int_equal(truncate(path, INT64_C(1) << 40), 0);
	assert_int_equal(nbdt_entries_read(entry_folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_non_null(strstr(entries[0].error.text, "more than"));
	nbdt_entries_free(entries, count);
}

static void hotplug_names_have_colons(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	entry_write("hotplug/uri:0a.conf", "uri = nbd://h/c\n");
	assert_int_equal(nbdt_entry_find(NULL, entry_folder, "uri:0a", &entry, &err), 0);
	nbdt_entry_clear(&entry);
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "uri:0a", &entry, &err), -ENOENT);
	nbdt_entry_clear(&entry);
}

static void names_are_short_and_plain(void **state)
{
	char longest[NBDT_MAX_ENTRY_NAME + 2];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_false(nbdt_entry_name_valid(longest));
	longest[sizeof(longest) - 2] = '\0';
	assert_true(nbdt_entry_name_valid(longest));
	assert_true(nbdt_entry_name_valid("My_disk-1.b+c"));
	assert_false(nbdt_entry_name_valid(""));
	assert_false(nbdt_entry_name_valid("-a"));
	assert_false(nbdt_entry_name_valid("../a"));
	assert_false(nbdt_entry_name_valid(".a"));
	assert_false(nbdt_entry_name_valid("a b"));
	assert_false(nbdt_entry_name_valid("a\n"));
	assert_false(nbdt_entry_name_valid("a%n"));
	assert_false(nbdt_entry_name_valid("\xc3\xa9"));
}

static void nothing_there_is_no_error(void **state)
{
	struct nbdt_entry *entries;
	size_t count;

	(void)state;
	assert_int_equal(nbdt_entries_read("/nonexistent", "/nonexistent", &entries, &count, NULL),
		0);
	assert_int_equal(count, 0);
	nbdt_entries_free(entries, count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENTRY_TEST(refused_entries_are_still_automatic),
		ENTRY_TEST(nul_bytes_are_refused),
		ENTRY_TEST(the_first_of_two_with_one_name_counts),
		ENTRY_TEST(odd_files_are_refused_and_hold_nobody_up),
		ENTRY_TEST(a_link_to_nothing_is_refused),
		ENTRY_TEST(an_unreadable_table_is_mentioned),
		ENTRY_TEST(a_file_without_end_is_refused),
		ENTRY_TEST(hotplug_names_have_colons),
		cmocka_unit_test(names_are_short_and_plain),
		ENTRY_TEST(nothing_there_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
