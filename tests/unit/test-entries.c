/* SPDX-License-Identifier: Apache-2.0 */
/* Entries: nbdtab, conf files, what is refused and how it is said, and finding one by its name. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbdtools.h"

static char folder[64];

static void make_path(char path[256], const char *name)
{
	snprintf(path, 256, "%s/%s", folder, name);
}

static void write_bytes(const char *name, const char *bytes, size_t length)
{
	char path[256];

	make_path(path, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static int set_up(void **state)
{
	char path[256];

	(void)state;
	strcpy(folder, "/tmp/nbdt-entries-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	make_path(path, "nbd");
	if (mkdir(path, 0700))
		return -1;
	make_path(path, "hotplug");
	return mkdir(path, 0700);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
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

struct sample {
	const char *text;
	const char *name;
	const char *sources;
	const char *options;
	enum nbdt_auto auto_attach;
	const char *error; /* in the text of the error; NULL: it is accepted */
};

static void check_entry(const struct nbdt_entry *entry, const struct sample *sample)
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

static void check_samples(const char *file, const struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct nbdt_entry *entries;
		struct nbdt_error err;
		size_t found;

		write_text(file, samples[i].text);
		assert_int_equal(nbdt_entries_read(folder, folder, &entries, &found, &err), 0);
		if (found != 1)
			fail_msg("%zu entries in '%s'", found, samples[i].text);
		check_entry(&entries[0], &samples[i]);
		nbdt_entries_free(entries, found);
	}
}

static void nbdtab_lines_mean_what_nbd_client_reads(void **state)
{
	static const struct sample samples[] = {
		{ "nbd0 host disk\n", "nbd0", "nbd://host/disk", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 host disk", "nbd0", "nbd://host/disk", "", NBDT_AUTO_NO, NULL },
		{ "\t/dev/nbd12  host\tdisk \r\n", "nbd12", "nbd://host/disk", "", NBDT_AUTO_NO, NULL },
		{ "# x\n\nnbd0 h d # nbd1 h d\n", "nbd0", "nbd://h/d", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 h a#b", "nbd0", "nbd://h/a%23b", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 ::1 d port=99", "nbd0", "nbd://[::1]:99/d", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 [::1] d", "nbd0", "nbd://[::1]/d", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 /run/s d unix", "nbd0", "nbd+unix:///d?socket=/run/s", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 h d bs=4096,conns=4,timeout=9,dead-timeout=8", "nbd0", "nbd://h/d",
			"--block-size=4096 --connections=4 --timeout=9 --dead-timeout=8",
			NBDT_AUTO_NO, NULL },
		{ "nbd0 h d swap,no_optgo", "nbd0", "nbd://h/d", "--swap --no-optgo", NBDT_AUTO_NO,
			NULL },
		{ "nbd0 h d _auto", "nbd0", "nbd://h/d", "", NBDT_AUTO_BOOT, NULL },
		{ "nbd0 h d _auto=module", "nbd0", "nbd://h/d", "", NBDT_AUTO_MODULE, NULL },
		{ "nbd0 h d _netdev,_x=1,_auto,swap", "nbd0", "nbd://h/d", "--swap", NBDT_AUTO_BOOT,
			NULL },
	};

	(void)state;
	check_samples("nbdtab", samples, sizeof(samples) / sizeof(samples[0]));
}

static void nbdtab_refuses_with_file_and_line(void **state)
{
	static const struct sample samples[] = {
		{ .text = "\nnbd0 h\n", .error = "nbdtab:2: a line needs three fields" },
		{ .text = "nbd0 h d swap persist", .error = "nbdtab:1: more than four fields" },
		{ .text = "sda h d", .error = "sda: not the name of an NBD device" },
		{ .text = "../x h d", .error = "not the name of an NBD device" },
		{ .text = "nbd0p1 h d", .error = "not the name of an NBD device" },
		{ .text = "nbd0 h d persist", .error = "'persist' is not built yet" },
		{ .text = "nbd0 h d tls", .error = "'tls' is not built yet" },
		{ .text = "nbd0 h d certfile=/a", .error = "'certfile' is not built yet" },
		{ .text = "nbd0 h d keyfile=/a", .error = "'keyfile' is not built yet" },
		{ .text = "nbd0 h d cacertfile=/a", .error = "'cacertfile' is not built yet" },
		{ .text = "nbd0 h d tlshostname=a", .error = "'tlshostname' is not built yet" },
		{ .text = "nbd0 h d priority=NORMAL", .error = "'priority' is not built yet" },
		{ .text = "nbd0 h d preinit", .error = "'preinit' is not supported" },
		{ .text = "nbd0 h d sdp", .error = "'sdp' is not supported" },
		{ .text = "nbd0 h d swop", .error = "unknown option 'swop'" },
		{ .text = "nbd0 h d swap,", .error = "an empty option" },
		{ .text = "nbd0 h d =1", .error = "an empty option" },
		{ .text = "nbd0 h d bs", .error = "'bs' needs a value" },
		{ .text = "nbd0 h d bs=", .error = "'bs' needs a value" },
		{ .text = "nbd0 h d swap=1", .error = "'swap' takes no value" },
		{ .text = "nbd0 h d port=0", .error = "nbdtab:1: " },
		{ .text = "nbd0 h d port=65536", .error = "nbdtab:1: " },
		{ .text = "nbd0 h d _auto=yes", .error = "only _auto and _auto=module" },
		{ .text = "nbd0 run/s d unix", .error = "not the absolute path" },
		{ .text = "nbd0 /run/s d unix,port=1", .error = "exclude each other" },
		{ .text = "nbd0 h \xff", .error = "not valid UTF-8" },
	};

	(void)state;
	check_samples("nbdtab", samples, sizeof(samples) / sizeof(samples[0]));
}

static void conf_files_mean_what_they_say(void **state)
{
	static const struct sample samples[] = {
		{ "uri = nbd://h/d\n", "disk", "nbd://h/d", "", NBDT_AUTO_NO, NULL },
		{ "# x\n; y\n\n\turi=nbd://h/d \r\nauto=yes", "disk", "nbd://h/d", "",
			NBDT_AUTO_BOOT, NULL },
		{ "uri = nbd://a/d\nuri = nbd://b/d\nauto = module\n", "disk", "nbd://a/d nbd://b/d",
			"", NBDT_AUTO_MODULE, NULL },
		{ "uri = nbd+unix:///a=b?socket=/run/s\n", "disk", "nbd+unix:///a=b?socket=/run/s",
			"", NBDT_AUTO_NO, NULL },
		{ "uri = nbd://h/\nread-only = yes\nswap = no\ntimeout = 7\nauto = no\n", "disk",
			"nbd://h/", "--read-only --timeout=7", NBDT_AUTO_NO, NULL },
		{ "file = /srv/my disk; $(x) %n.img\noffset = 1M\n", "disk",
			"/srv/my disk; $(x) %n.img", "--offset=1M", NBDT_AUTO_NO, NULL },
	};

	(void)state;
	check_samples("nbd/disk.conf", samples, sizeof(samples) / sizeof(samples[0]));
}

static void conf_files_are_refused_with_file_and_line(void **state)
{
	static const struct sample samples[] = {
		{ .text = "", .error = "disk.conf: neither uri nor file" },
		{ .text = "auto = yes\nhello\n", .error = "disk.conf:2: a line is 'key = value'" },
		{ .text = "[disk]\nuri = nbd://h\n", .error = "disk.conf:1: a line is" },
		{ .text = "colour = red", .error = "disk.conf:1: unknown key 'colour'" },
		{ .text = "help = yes", .error = "unknown key 'help'" },
		{ .text = "uri =\n", .error = "uri has no value" },
		{ .text = "uri = http://h\n", .error = "disk.conf:1: " },
		{ .text = "uri = nbd://h\nfile = /a\n", .error = "exclude each other" },
		{ .text = "file = /a\nuri = nbd://h\n", .error = "exclude each other" },
		{ .text = "file = a.img", .error = "a.img: not an absolute path" },
		{ .text = "file = /a\nfile = /b", .error = "disk.conf:2: file was given in line 1" },
		{ .text = "uri = nbd://h\noffset = 1", .error = "disk.conf:2: offset is for" },
		{ .text = "file = /a\nwait = 1", .error = "disk.conf:2: wait is for" },
		{ .text = "uri = nbd://h\nauto = maybe", .error = "not 'maybe'" },
		{ .text = "uri = nbd://h\nread-only", .error = "disk.conf:2" },
		{ .text = "uri = nbd://h\nread-only = 1", .error = "yes or no, not '1'" },
		{ .text = "uri = nbd://h\ndevice = sda", .error = "not the name of an NBD device" },
		{ .text = "uri = nbd://h\ntls = require", .error = "'tls' is not built yet" },
		{ .text = "uri = nbd://h\nreconnect = yes", .error = "'reconnect' is not built yet" },
	};

	(void)state;
	check_samples("nbd/disk.conf", samples, sizeof(samples) / sizeof(samples[0]));
}

static void nul_bytes_are_refused(void **state)
{
	struct nbdt_entry *entries;
	size_t count;

	(void)state;
	write_bytes("nbdtab", "nbd0 h d\0 tls\nnbd1 h d\n\0\n", 25);
	write_bytes("nbd/disk.conf", "uri = nbd://h\0\n", 15);
	assert_int_equal(nbdt_entries_read(folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 4);
	assert_int_equal(entries[0].error.code, -EINVAL);
	assert_int_equal(entries[1].error.code, 0);
	assert_int_equal(entries[2].error.code, -EINVAL);
	assert_int_equal(entries[3].error.code, -EINVAL);
	nbdt_entries_free(entries, count);
}

static void one_bad_line_does_not_spoil_the_others(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	write_text("nbdtab", "nbd0 h a\n,,, = ,\nnbd1 h b tls\nnbd2 h c\n");
	assert_int_equal(nbdt_entry_find(folder, NULL, "nbd0", &entry, &err), 0);
	nbdt_entry_clear(&entry);
	assert_int_equal(nbdt_entry_find(folder, NULL, "nbd2", &entry, &err), 0);
	assert_string_equal(entry.sources[0], "nbd://h/c");
	assert_int_equal(entry.index, 2);
	nbdt_entry_clear(&entry);
	assert_int_equal(nbdt_entry_find(folder, NULL, "nbd1", &entry, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nbdtab:3: "));
	nbdt_entry_clear(&entry);
}

static void the_first_of_two_with_one_name_counts(void **state)
{
	struct nbdt_entry *entries;
	size_t count;

	(void)state;
	write_text("nbdtab", "nbd0 h a\nnbd0 h b\n");
	write_text("nbd/nbd0.conf", "uri = nbd://h/c\n");
	assert_int_equal(nbdt_entries_read(folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 3);
	assert_int_equal(entries[0].error.code, 0);
	assert_non_null(strstr(entries[1].error.text, "nbdtab:2: nbd0 is in "));
	assert_non_null(strstr(entries[2].error.text, "nbdtab:1 already"));
	nbdt_entries_free(entries, count);
}

static void a_device_name_binds_an_entry_to_its_device(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	write_text("nbd/nbd7.conf", "uri = nbd://h/c\n");
	assert_int_equal(nbdt_entry_find(folder, NULL, "nbd7", &entry, &err), 0);
	assert_int_equal(entry.index, 7);
	nbdt_entry_clear(&entry);
	write_text("nbd/nbd7.conf", "uri = nbd://h/c\ndevice = nbd8\n");
	assert_int_equal(nbdt_entry_find(folder, NULL, "nbd7", &entry, &err), -EINVAL);
	nbdt_entry_clear(&entry);
	write_text("nbd/disk.conf", "uri = nbd://h/c\ndevice = /dev/nbd8\n");
	assert_int_equal(nbdt_entry_find(folder, NULL, "disk", &entry, &err), 0);
	assert_int_equal(entry.index, 8);
	nbdt_entry_clear(&entry);
}

static void odd_files_are_refused_and_hold_nobody_up(void **state)
{
	struct nbdt_entry *entries;
	char path[256];
	size_t count;

	(void)state;
	make_path(path, "nbd/fifo.conf");
	assert_int_equal(mkfifo(path, 0600), 0);
	make_path(path, "nbd/folder.conf");
	assert_int_equal(mkdir(path, 0700), 0);
	make_path(path, "nbdtab");
	assert_int_equal(mkdir(path, 0700), 0);
	write_text("nbd/my disk.conf", "uri = nbd://h\n");
	write_text("nbd/a:b.conf", "uri = nbd://h\n");
	write_text("nbd/.hidden.conf", "uri = nbd://h\n");
	write_text("nbd/.conf", "uri = nbd://h\n");
	write_text("nbd/note.txt", "uri = nbd://h\n");
	assert_int_equal(nbdt_entries_read(folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(entries[i].error.code, -EINVAL);
	nbdt_entries_free(entries, count);
}

static void a_file_without_end_is_refused(void **state)
{
	struct nbdt_entry *entries;
	char path[256];
	size_t count;

	(void)state;
	write_text("nbdtab", "nbd0 h a\n");
	make_path(path, "nbdtab");
	assert_int_equal(truncate(path, INT64_C(1) << 40), 0);
	assert_int_equal(nbdt_entries_read(folder, NULL, &entries, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_non_null(strstr(entries[0].error.text, "more than"));
	nbdt_entries_free(entries, count);
}

static void hotplug_names_have_colons(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	write_text("hotplug/uri:0a.conf", "uri = nbd://h/c\n");
	assert_int_equal(nbdt_entry_find(NULL, folder, "uri:0a", &entry, &err), 0);
	nbdt_entry_clear(&entry);
	assert_int_equal(nbdt_entry_find(folder, NULL, "uri:0a", &entry, &err), -ENOENT);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nbdtab_lines_mean_what_nbd_client_reads),
		TEST(nbdtab_refuses_with_file_and_line),
		TEST(conf_files_mean_what_they_say),
		TEST(conf_files_are_refused_with_file_and_line),
		TEST(nul_bytes_are_refused),
		TEST(one_bad_line_does_not_spoil_the_others),
		TEST(the_first_of_two_with_one_name_counts),
		TEST(a_device_name_binds_an_entry_to_its_device),
		TEST(odd_files_are_refused_and_hold_nobody_up),
		TEST(a_file_without_end_is_refused),
		TEST(hotplug_names_have_colons),
		cmocka_unit_test(names_are_short_and_plain),
		TEST(nothing_there_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
