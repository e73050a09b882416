/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "link-names.h"

static void check_encoded(const char *text, const char *wanted)
{
	char *name = link_name_encode(text);

	assert_non_null(name);
	assert_string_equal(name, wanted);
	free(name);
}

static void harmless_characters_stay(void **state)
{
	static const char text[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+.:=@_-";

	(void)state;
	check_encoded(text, text);
	check_encoded("", "");
}

static void all_others_are_escaped(void **state)
{
	(void)state;
	check_encoded("a b\nc", "a\\x20b\\x0ac");
	check_encoded("../x", "..\\x2fx");
	check_encoded("\\x2f", "\\x5cx2f");
	check_encoded("%n\"'$`;&|", "\\x25n\\x22\\x27\\x24\\x60\\x3b\\x26\\x7c");
	check_encoded("\303\251\377\1\177", "\\xc3\\xa9\\xff\\x01\\x7f");
}

static void names_longer_than_a_file_name_are_none(void **state)
{
	char text[LINK_NAME_MAXIMUM + 2];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[LINK_NAME_MAXIMUM] = '\0';
	check_encoded(text, text);
	text[0] = ' ';
	assert_null(link_name_encode(text));
	text[0] = text[LINK_NAME_MAXIMUM] = 'a';
	text[LINK_NAME_MAXIMUM + 1] = '\0';
	assert_null(link_name_encode(text));
}

static void check_source(const struct nbdt_record *record, const char *wanted)
{
	char *name = link_name_of_source(record);

	assert_non_null(name);
	assert_string_equal(name, wanted);
	free(name);
}

static void check_remote(const char *uri, const char *wanted)
{
	char source[256];
	const struct nbdt_record record = { .kind = NBDT_KIND_REMOTE, .source = source };

	assert_true(strlen(uri) < sizeof(source));
	strcpy(source, uri);
	check_source(&record, wanted);
}

static void remote_sources_are_server_and_export(void **state)
{
	(void)state;
	check_remote("nbd://server/export", "server:10809-export");
	check_remote("nbd://server:20000/a/b%20c", "server:20000-a\\x2fb\\x20c");
	check_remote("nbds://server", "server:10809-");
	check_remote("nbd://[::1]:7/x", "::1:7-x");
	check_remote("nbd+unix:///e?socket=/run/s", "unix:\\x2frun\\x2fs-e");
	check_remote("nbd+vsock://3/e", "vsock:3:10809-e");
}

static void images_are_path_and_offset(void **state)
{
	char source[] = "/srv/disk.img";
	struct nbdt_record record = { .kind = NBDT_KIND_LOOP, .source = source };

	(void)state;
	check_source(&record, "file:\\x2fsrv\\x2fdisk.img");
	record.offset = 1048576;
	check_source(&record, "file:\\x2fsrv\\x2fdisk.img@1048576");
}

/* Else a name like ".." could be chosen. */
static void sources_that_are_no_uris_have_no_name(void **state)
{
	char identifier[] = "..", path[] = "/etc/passwd";
	struct nbdt_record record = { .kind = NBDT_KIND_REMOTE, .source = identifier };

	(void)state;
	assert_null(link_name_of_source(&record));
	record.source = path;
	assert_null(link_name_of_source(&record));
}

static void entries_of_events_have_no_name(void **state)
{
	char name[] = "my-disk", hash[] = "uri:0123456789abcdef";
	struct nbdt_record record = { .name = name };

	(void)state;
	char *link = link_name_of_entry(&record);
	assert_string_equal(link, "my-disk");
	free(link);
	record.name = hash;
	assert_null(link_name_of_entry(&record));
	record.name = NULL;
	assert_null(link_name_of_entry(&record));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(harmless_characters_stay),
		cmocka_unit_test(all_others_are_escaped),
		cmocka_unit_test(names_longer_than_a_file_name_are_none),
		cmocka_unit_test(remote_sources_are_server_and_export),
		cmocka_unit_test(images_are_path_and_offset),
		cmocka_unit_test(sources_that_are_no_uris_have_no_name),
		cmocka_unit_test(entries_of_events_have_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
