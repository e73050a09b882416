/* SPDX-License-Identifier: Apache-2.0 */
/* nbdtab: what its lines mean, what is refused, and how that is said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "entry-fixture.h"

static void nbdtab_lines_mean_what_nbd_client_reads(void **state)
{
	static const struct entry_sample samples[] = {
		{ "nbd0 host disk\n", "nbd0", "nbd://host/disk", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 host disk", "nbd0", "nbd://host/disk", "", NBDT_AUTO_NO, NULL },
		{ "\t/dev/nbd12  host\tdisk \r\n", "nbd12", "nbd://host/disk", "",
			NBDT_AUTO_NO, NULL },
		{ "# x\n\nnbd0 h d # nbd1 h d\n", "nbd0", "nbd://h/d", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 h a#b", "nbd0", "nbd://h/a%23b", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 ::1 d port=99", "nbd0", "nbd://[::1]:99/d", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 fe80::1%eth0 d", "nbd0", "nbd://fe80%3A%3A1%25eth0/d", "", NBDT_AUTO_NO,
			NULL },
		{ "nbd0 h;a d,e=$(f)&g", "nbd0", "nbd://h%3Ba/d,e=%24%28f%29%26g", "", NBDT_AUTO_NO,
			NULL },
		{ "nbd0 /run/s?x&y d unix", "nbd0", "nbd+unix:///d?socket=/run/s%3Fx%26y", "",
			NBDT_AUTO_NO, NULL },
		{ "nbd0 [::1] d", "nbd0", "nbd://[::1]/d", "", NBDT_AUTO_NO, NULL },
		{ "nbd0 /run/s d unix", "nbd0", "nbd+unix:///d?socket=/run/s", "",
			NBDT_AUTO_NO, NULL },
		{ "nbd0 h d bs=4096,conns=4,timeout=9,dead-timeout=8", "nbd0", "nbd://h/d",
			"--block-size=4096 --connections=4 --timeout=9 --dead-timeout=8",
			NBDT_AUTO_NO, NULL },
		{ "nbd0 h d swap,no_optgo", "nbd0", "nbd://h/d", "--swap --no-optgo", NBDT_AUTO_NO,
			NULL },
		{ "nbd0 h d timeout=1,swap,timeout=2,swap", "nbd0", "nbd://h/d",
			"--timeout=2 --swap", NBDT_AUTO_NO, NULL },
		{ "nbd0 h d _auto", "nbd0", "nbd://h/d", "", NBDT_AUTO_BOOT, NULL },
		{ "nbd0 h d _auto=module", "nbd0", "nbd://h/d", "", NBDT_AUTO_MODULE, NULL },
		{ "nbd0 h d _netdev,_x=1,_auto,swap", "nbd0", "nbd://h/d", "--swap", NBDT_AUTO_BOOT,
			NULL },
	};

	(void)state;
	entry_check_samples("nbdtab", samples, sizeof(samples) / sizeof(samples[0]));
}

static void nbdtab_refuses_with_file_and_line(void **state)
{
	static const struct entry_sample samples[] = {
		{ .text = "\nnbd0 h\n", .error = "nbdtab:2: a line needs three fields" },
		{ .text = "nbd0 h d swap persist", .error = "nbdtab:1: more than four fields" },
		{ .text = "nbd0 h d swap, _auto", .error = "commas separate" },
		{ .text = "/dev/null h d", .error = "not the name of an NBD device" },
		{ .text = "/dev//dev/nbd0 h d", .error = "not the name of an NBD device" },
		{ .text = "nbd00 h d", .error = "not the name of an NBD device" },
		{ .text = "nbd2147483648 h d", .error = "not the name of an NBD device" },
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
	entry_check_samples("nbdtab", samples, sizeof(samples) / sizeof(samples[0]));
}

static void one_bad_line_does_not_spoil_the_others(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	entry_write("nbdtab", "nbd0 h a\n,,, = ,\nnbd1 h b tls\nnbd2 h c\n");
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "nbd0", &entry, &err), 0);
	nbdt_entry_clear(&entry);
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "nbd2", &entry, &err), 0);
	assert_string_equal(entry.sources[0], "nbd://h/c");
	assert_int_equal(entry.index, 2);
	nbdt_entry_clear(&entry);
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "nbd1", &entry, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nbdtab:3: "));
	nbdt_entry_clear(&entry);
}

static void words_of_4096_bytes_are_taken_or_refused(void **state)
{
	static const char *const around[][2] = {
		{ "", " h d" },      { "nbd0 ", " d" },         { "nbd0 h ", "" },
		{ "nbd0 h d ", "" }, { "nbd0 h d port=", "" }, { "nbd0 /", " d unix" },
	};
	struct nbdt_entry *entries;
	char word[4097], line[4200];
	size_t count;

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		snprintf(line, sizeof(line), "%s%s%s\n", around[i][0], word, around[i][1]);
		entry_write("nbdtab", line);
		assert_int_equal(nbdt_entries_read(entry_folder, NULL, &entries, &count, NULL), 0);
		assert_int_equal(count, 1);
		if (entries[0].error.code)
			assert_non_null(strstr(entries[0].error.text, "/nbdtab:1: "));
		else
			assert_non_null(strstr(entries[0].sources[0], word));
		nbdt_entries_free(entries, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENTRY_TEST(nbdtab_lines_mean_what_nbd_client_reads),
		ENTRY_TEST(nbdtab_refuses_with_file_and_line),
		ENTRY_TEST(one_bad_line_does_not_spoil_the_others),
		ENTRY_TEST(words_of_4096_bytes_are_taken_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
