/* SPDX-License-Identifier: Apache-2.0 */
/* Files of /etc/nbd: what their lines mean, what is refused, and how that is said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "entry-fixture.h"

static void conf_files_mean_what_they_say(void **state)
{
	static const struct entry_sample samples[] = {
		{ "uri = nbd://h/d\n", "disk", "nbd://h/d", "", NBDT_AUTO_NO, NULL },
		{ "# x\n; y\n\n\turi=nbd://h/d \r\nauto=yes", "disk", "nbd://h/d", "",
			NBDT_AUTO_BOOT, NULL },
		{ "uri = nbd://a/d\nuri = nbd://b/d\nauto = module\n", "disk",
			"nbd://a/d nbd://b/d",
			"", NBDT_AUTO_MODULE, NULL },
		{ "uri = nbd+unix:///a=b?socket=/run/s\n", "disk", "nbd+unix:///a=b?socket=/run/s",
			"", NBDT_AUTO_NO, NULL },
		{ "uri = nbd://h/\nread-only = yes\nswap = no\ntimeout = 7\nauto = no\n", "disk",
			"nbd://h/", "--read-only --timeout=7", NBDT_AUTO_NO, NULL },
		{ "file = /srv/my disk; $(x) %n.img\noffset = 1M\n", "disk",
			"/srv/my disk; $(x) %n.img", "--offset=1M", NBDT_AUTO_NO, NULL },
	};

	(void)state;
	entry_check_samples("nbd/disk.conf", samples, sizeof(samples) / sizeof(samples[0]));
}

static void conf_files_are_refused_with_file_and_line(void **state)
{
	static const struct entry_sample samples[] = {
		{ .text = "", .error = "disk.conf: neither uri nor file" },
		{ .text = "auto = yes\nhello\n", .error = "disk.conf:2: a line is 'key = value'" },
		{ .text = "[disk]\nuri = nbd://h\n", .error = "disk.conf:1: a line is" },
		{ .text = "colour = red", .error = "disk.conf:1: unknown key 'colour'" },
		{ .text = "help = yes", .error = "unknown key 'help'" },
		{ .text = "uri =\n", .error = "uri has no value" },
		{ .text = "uri = http://h\n", .error = "disk.conf:1: " },
		{ .text = "uri = nbd://h\nfile = /a\n", .error = "exclude each other" },
		{ .text = "file = /a\nuri = nbd://h\n", .error = "exclude each other" },
		{ .text = "uri = nbd://h\nwait = 1\nfile = /a\n", .error = "exclude each other" },
		{ .text = "uri = nbd://h\ndevice = /dev/disk/x",
			.error = "not the name of an NBD" },
		{ .text = "file = a.img", .error = "a.img: not an absolute path" },
		{ .text = "file = /a\nfile = /b",
			.error = "disk.conf:2: file was given in line 1" },
		{ .text = "uri = nbd://h\noffset = 1", .error = "disk.conf:2: offset is for" },
		{ .text = "file = /a\nwait = 1", .error = "disk.conf:2: wait is for" },
		{ .text = "uri = nbd://h\nauto = maybe", .error = "not 'maybe'" },
		{ .text = "uri = nbd://h\nread-only", .error = "disk.conf:2" },
		{ .text = "uri = nbd://h\nread-only = 1", .error = "yes or no, not '1'" },
		{ .text = "uri = nbd://h\ndevice = sda", .error = "not the name of an NBD device" },
		{ .text = "uri = nbd://h\ntls = require", .error = "'tls' is not built yet" },
		{ .text = "uri = nbd://h\nreconnect = yes",
			.error = "'reconnect' is not built yet" },
	};

	(void)state;
	entry_check_samples("nbd/disk.conf", samples, sizeof(samples) / sizeof(samples[0]));
}

static void a_device_name_binds_an_entry_to_its_device(void **state)
{
	struct nbdt_entry entry;
	struct nbdt_error err;

	(void)state;
	entry_write("nbd/nbd7.conf", "uri = nbd://h/c\n");
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "nbd7", &entry, &err), 0);
	assert_int_equal(entry.index, 7);
	nbdt_entry_clear(&entry);
	entry_write("nbd/nbd7.conf", "uri = nbd://h/c\ndevice = nbd8\n");
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "nbd7", &entry, &err), -EINVAL);
	nbdt_entry_clear(&entry);
	entry_write("nbd/disk.conf", "uri = nbd://h/c\ndevice = /dev/nbd8\n");
	assert_int_equal(nbdt_entry_find(entry_folder, NULL, "disk", &entry, &err), 0);
	assert_int_equal(entry.index, 8);
	nbdt_entry_clear(&entry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENTRY_TEST(conf_files_mean_what_they_say),
		ENTRY_TEST(conf_files_are_refused_with_file_and_line),
		ENTRY_TEST(a_device_name_binds_an_entry_to_its_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
