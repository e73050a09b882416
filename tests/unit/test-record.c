/* SPDX-License-Identifier: Apache-2.0 */
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

#include "fake-sysfs.h"
#include "process.h"
#include "record-internal.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define OTHER_UUID "11234567-89ab-cdef-0123-456789abcdef"

struct fixture {
	char *root;
	int folder;
};

static int setup(void **state)
{
	struct fixture *fixture = malloc(sizeof(*fixture));

	fixture->root = fake_root();
	fixture->folder = open(fixture->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = fixture;
	return fixture->folder < 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->folder);
	fake_remove(fixture->root);
	free(fixture);
	return 0;
}

static struct nbdt_record sample(char *source)
{
	static char name[] = "disk-1";

	return (struct nbdt_record){
		.index = 3,
		.kind = NBDT_KIND_LOOP,
		.name = name,
		.source = source,
		.uuid = UUID,
		.pid = 4711,
		.start_time = UINT64_MAX,
		.connections = 4,
		.timeout = 30,
		.read_only = true,
		.file_dev = UINT64_MAX - 1,
		.file_ino = 77,
		.offset = INT64_MAX,
		.size_limit = 1048576,
		.direct_io = true,
	};
}

static void record_survives_writing_and_reading(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record written = sample((char[]){ "/srv/a \"b\"/\303\251\377.img" });
	struct nbdt_record read;

	assert_int_equal(record_write_at(fixture->folder, &written, NULL), 0);
	assert_int_equal(record_read_at(fixture->folder, 3, &read, NULL), 0);
	assert_string_equal(read.name, "disk-1");
	assert_string_equal(read.source, written.source);
	assert_string_equal(read.uuid, UUID);
	assert_int_equal(read.index, 3);
	assert_int_equal(read.kind, NBDT_KIND_LOOP);
	assert_int_equal(read.pid, 4711);
	assert_true(read.start_time == UINT64_MAX);
	assert_int_equal(read.connections, 4);
	assert_int_equal(read.timeout, 30);
	assert_true(read.read_only);
	assert_false(read.ioctl);
	assert_true(read.file_dev == UINT64_MAX - 1);
	assert_int_equal(read.file_ino, 77);
	assert_true(read.offset == INT64_MAX);
	assert_int_equal(read.size_limit, 1048576);
	assert_true(read.direct_io);
	nbdt_record_free(&read);
}

static void remote_record_has_no_facts_of_a_file(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record = sample((char[]){ "nbd://host/export" });

	record.kind = NBDT_KIND_REMOTE;
	assert_int_equal(record_write_at(fixture->folder, &record, NULL), 0);
	char *text = fake_read(fixture->root, "nbd3.json");
	assert_null(strstr(text, "file-ino"));
	assert_non_null(strstr(text, "\"nbd://host/export\""));
	free(text);
	assert_int_equal(record_read_at(fixture->folder, 3, &record, NULL), 0);
	assert_int_equal(record.kind, NBDT_KIND_REMOTE);
	assert_int_equal(record.file_ino, 0);
	nbdt_record_free(&record);
}

static void record_without_an_entry_has_no_name(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record = sample((char[]){ "/a" });

	record.name = NULL;
	assert_int_equal(record_write_at(fixture->folder, &record, NULL), 0);
	assert_int_equal(record_read_at(fixture->folder, 3, &record, NULL), 0);
	assert_null(record.name);
	nbdt_record_free(&record);
}

static void record_with_a_name_that_none_may_have_is_not_written(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record = sample((char[]){ "/a" });
	struct nbdt_error err;

	record.name = (char[]){ "../passwd" };
	assert_int_equal(record_write_at(fixture->folder, &record, &err), -EINVAL);
	assert_int_equal(faccessat(fixture->folder, "nbd3.json", F_OK, 0), -1);
}

static void file_is_readable_whatever_the_umask(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record = sample((char[]){ "/a" });
	struct stat status;

	mode_t before = umask(077);
	assert_int_equal(record_write_at(fixture->folder, &record, NULL), 0);
	umask(before);
	assert_int_equal(fstatat(fixture->folder, "nbd3.json", &status, 0), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
	assert_int_equal(fstatat(fixture->folder, ".nbd3.json.new", &status, 0), -1);
}

static void record_without_uuid_or_source_is_not_written(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record = sample((char[]){ "" });
	struct nbdt_error err;

	assert_int_equal(record_write_at(fixture->folder, &record, &err), -EINVAL);
	record = sample(NULL);
	assert_int_equal(record_write_at(fixture->folder, &record, &err), -EINVAL);
	record = sample((char[]){ "/a" });
	record.uuid[0] = 'A';
	assert_int_equal(record_write_at(fixture->folder, &record, &err), -EINVAL);
	assert_int_equal(faccessat(fixture->folder, "nbd3.json", F_OK, 0), -1);
}

static void missing_record_is_enoent(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record;

	assert_int_equal(record_read_at(fixture->folder, 0, &record, NULL), -ENOENT);
	assert_null(record.source);
}

static void check_damaged(struct fixture *fixture, const char *text)
{
	struct nbdt_error err = { 0 };
	struct nbdt_record record;

	fake_file(fixture->root, "nbd3.json", text);
	assert_int_equal(record_read_at(fixture->folder, 3, &record, &err), -EINVAL);
	assert_non_null(strstr(err.text, "damaged"));
	assert_null(record.source);
}

static void files_that_are_no_json_objects_are_damaged(void **state)
{
	check_damaged(*state, "");
	check_damaged(*state, "\n");
	check_damaged(*state, "null");
	check_damaged(*state, "[]");
	check_damaged(*state, "{}");
	check_damaged(*state, "{\"version\": 1");
	check_damaged(*state, "\"nbd\"");
}

static void every_truncation_is_damaged(void **state)
{
	struct nbdt_record record = sample((char[]){ "/a" });
	char *text = record_format(&record);

	(void)state;
	for (size_t length = 0; length < strlen(text); length++)
		assert_int_equal(record_parse(text, length, &record), -EINVAL);
	assert_int_equal(record_parse(text, strlen(text), &record), 0);
	nbdt_record_free(&record);
	free(text);
}

/* The sample's text with the first FROM replaced by TO. */
static void check_replaced(struct fixture *fixture, const char *from, const char *to)
{
	struct nbdt_record record = sample((char[]){ "/a" });
	char *text = record_format(&record);
	char *at = strstr(text, from);
	char *changed;

	assert_non_null(at);
	assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to,
			     at + strlen(from)) > 0);
	check_damaged(fixture, changed);
	free(changed);
	free(text);
}

static void values_of_wrong_type_or_range_are_damaged(void **state)
{
	check_replaced(*state, "\"version\":1", "\"version\":2");
	check_replaced(*state, "\"index\":3", "\"index\":4");
	check_replaced(*state, "\"index\":3", "\"index\":-3");
	check_replaced(*state, "\"index\":3", "\"index\":\"3\"");
	check_replaced(*state, "\"index\":3", "\"index\":3.0");
	check_replaced(*state, "\"pid\":4711", "\"pid\":4294967296");
	check_replaced(*state, "\"pid\":4711", "\"pid\":-1");
	check_replaced(*state, "\"offset\":9223372036854775807", "\"offset\":9223372036854775808");
	check_replaced(*state, "\"connections\":4", "\"connections\":4294967296");
	check_replaced(*state, "\"read-only\":true", "\"read-only\":1");
	check_replaced(*state, "\"kind\":\"loop\"", "\"kind\":\"poolside\"");
	check_replaced(*state, "\"name\":\"disk-1\"", "\"name\":\"\"");
	check_replaced(*state, "\"name\":\"disk-1\"", "\"name\":\"a/b\"");
	check_replaced(*state, "\"name\":\"disk-1\"", "\"name\":null");
	check_replaced(*state, "\"source\":\"/a\"", "\"source\":\"\"");
	check_replaced(*state, "\"source\":\"/a\"", "\"source\":\"/a\\u0000b\"");
	check_replaced(*state, "\"source\":\"/a\"", "\"source\":[[[[[[]]]]]]");
	check_replaced(*state, UUID, "01234567-89ab-cdef-0123-456789abcdeF");
	check_replaced(*state, UUID, UUID "0");
	check_replaced(*state, "\n}", "\n} x");
}

static void huge_file_is_damaged(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record;

	fake_file(fixture->root, "nbd3.json", "{");
	char path[128];
	snprintf(path, sizeof(path), "%s/nbd3.json", fixture->root);
	assert_int_equal(truncate(path, (off_t)1 << 40), 0);
	assert_int_equal(record_read_at(fixture->folder, 3, &record, NULL), -EINVAL);
}

static void fifos_links_and_folders_are_damaged(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record;

	assert_int_equal(mkfifoat(fixture->folder, "nbd0.json", 0644), 0);
	assert_int_equal(record_read_at(fixture->folder, 0, &record, NULL), -EINVAL);
	fake_link(fixture->root, "nbd1.json", "/dev/zero");
	assert_int_equal(record_read_at(fixture->folder, 1, &record, NULL), -EINVAL);
	fake_folder(fixture->root, "nbd2.json");
	assert_int_equal(record_read_at(fixture->folder, 2, &record, NULL), -EINVAL);
}

static void record_of_another_uuid_stays(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record = sample((char[]){ "/a" });

	assert_int_equal(record_write_at(fixture->folder, &record, NULL), 0);
	fake_file(fixture->root, "nbd3.sock", "");
	assert_int_equal(record_remove_at(fixture->folder, 3, OTHER_UUID, NULL), 0);
	assert_int_equal(faccessat(fixture->folder, "nbd3.json", F_OK, 0), 0);
	assert_int_equal(faccessat(fixture->folder, "nbd3.sock", F_OK, 0), 0);
}

static void removal_takes_record_and_socket(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_record record = sample((char[]){ "/a" });

	assert_int_equal(record_write_at(fixture->folder, &record, NULL), 0);
	fake_file(fixture->root, "nbd3.sock", "");
	assert_int_equal(record_remove_at(fixture->folder, 3, UUID, NULL), 1);
	assert_int_equal(faccessat(fixture->folder, "nbd3.json", F_OK, 0), -1);
	assert_int_equal(faccessat(fixture->folder, "nbd3.sock", F_OK, 0), -1);
	assert_int_equal(record_remove_at(fixture->folder, 3, UUID, NULL), 0);
}

static void damaged_record_is_removed_without_uuid(void **state)
{
	struct fixture *fixture = *state;

	fake_file(fixture->root, "nbd3.json", "?");
	assert_int_equal(record_remove_at(fixture->folder, 3, UUID, NULL), 0);
	assert_int_equal(faccessat(fixture->folder, "nbd3.json", F_OK, 0), 0);
	assert_int_equal(record_remove_at(fixture->folder, 3, NULL, NULL), 1);
	assert_int_equal(faccessat(fixture->folder, "nbd3.json", F_OK, 0), -1);
}

static void lock_keeps_others_out_until_closed(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_error err;
	struct stat status;

	int lock = record_lock_at(fixture->folder, 0, &err);
	assert_true(lock >= 0);
	assert_int_equal(record_lock_at(fixture->folder, 20, &err), -ETIMEDOUT);
	assert_int_equal(err.code, -ETIMEDOUT);
	close(lock);
	lock = record_lock_at(fixture->folder, 0, &err);
	assert_true(lock >= 0);
	/* Whoever can open it can hold it. */
	assert_int_equal(fstat(lock, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	close(lock);
}

static void init_names_this_process_and_a_new_uuid(void **state)
{
	struct nbdt_record first = { 0 }, second = { 0 };

	(void)state;
	assert_int_equal(nbdt_record_init(&first, NULL), 0);
	assert_int_equal(nbdt_record_init(&second, NULL), 0);
	assert_true(record_is_uuid(first.uuid));
	assert_string_not_equal(first.uuid, second.uuid);
	assert_int_equal(first.pid, getpid());
	assert_true(process_is_running(first.pid, first.start_time));
}

static void identifier_leads_back_to_the_source(void **state)
{
	struct nbdt_record record = sample((char[]){ "/srv/a:b" });

	(void)state;
	char *identifier = nbdt_record_identifier(&record);
	assert_string_equal(identifier, "nbd-tools:" UUID ":/srv/a:b");
	assert_string_equal(nbdt_record_identifier_source(identifier), "/srv/a:b");
	free(identifier);
}

static void identifiers_of_others_have_no_source(void **state)
{
	(void)state;
	assert_null(nbdt_record_identifier_source(""));
	assert_null(nbdt_record_identifier_source("nbd-tools:"));
	assert_null(nbdt_record_identifier_source("nbd-tools:" UUID));
	assert_null(nbdt_record_identifier_source("nbd-tools::/a"));
	assert_null(nbdt_record_identifier_source("nbd-tools:" UUID "/a"));
	assert_null(nbdt_record_identifier_source(
		"nbd-tools:01234567-89AB-cdef-0123-456789abcdef:/a"));
	assert_null(nbdt_record_identifier_source("other:" UUID ":/a"));
	assert_null(nbdt_record_identifier_source("/var/lib/disk.img"));
}

static void long_identifier_is_cut_at_a_whole_character(void **state)
{
	struct nbdt_record record = sample(NULL);
	char source[6000];

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(source); i += 2)
		memcpy(source + i, "\303\251", 3);
	record.source = source;
	char *identifier = nbdt_record_identifier(&record);
	assert_true(strlen(identifier) < 4000);
	assert_true(strlen(identifier) > 3990);
	assert_string_equal(identifier + strlen(identifier) - 2, "\303\251");
	free(identifier);
	record.source = source + 1;
	identifier = nbdt_record_identifier(&record);
	assert_string_equal(identifier + strlen(identifier) - 2, "\303\251");
	free(identifier);
}

static void newline_in_the_source_does_not_end_the_identifier(void **state)
{
	struct nbdt_record record = sample((char[]){ "/a\nb" });

	(void)state;
	char *identifier = nbdt_record_identifier(&record);
	assert_string_equal(nbdt_record_identifier_source(identifier), "/a?b");
	free(identifier);
}

static struct nbdt_device_info attached(const char *backend)
{
	struct nbdt_device_info info = {
		.index = 3, .pid = 100, .state = NBDT_DEVICE_CONNECTED,
	};

	snprintf(info.backend, sizeof(info.backend), "%s", backend);
	return info;
}

static void record_lives_with_its_keeper_and_its_uuid(void **state)
{
	struct nbdt_record record = sample((char[]){ "/a" });
	struct nbdt_device_info info = attached("nbd-tools:" UUID ":/a");
	struct record_facts facts = { .keeper_runs = true, .has_identifiers = true };

	(void)state;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_LIVE);
	facts.keeper_runs = false;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_DEAD);
	record.pid = 0;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_LIVE);
}

static void record_of_another_attachment_is_stale(void **state)
{
	struct nbdt_record record = sample((char[]){ "/a" });
	struct nbdt_device_info info = attached("nbd-tools:" OTHER_UUID ":/a");
	const struct record_facts facts = { .keeper_runs = true, .has_identifiers = true };

	(void)state;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_STALE);
	info = attached("somebody else");
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_STALE);
	info = attached("");
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_STALE);
	info = attached("nbd-tools:" UUID ":/a");
	info.pid = 0;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_STALE);
	info = attached("nbd-tools:" UUID ":/a");
	info.index = 4;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_STALE);
}

static void ioctl_record_lives_as_long_as_its_thread_attaches(void **state)
{
	struct nbdt_record record = sample((char[]){ "/a" });
	struct nbdt_device_info info = attached("");
	struct record_facts facts = {
		.keeper_runs = true, .is_keepers_thread = true, .has_identifiers = true,
	};

	(void)state;
	record.ioctl = true;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_LIVE);
	facts.is_keepers_thread = false;
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_STALE);
	facts.is_keepers_thread = true;
	info = attached("nbd-tools:" UUID ":/a");
	assert_int_equal(record_judge(&record, &info, &facts), NBDT_RECORD_STALE);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(record_survives_writing_and_reading),
		WITH_FOLDER(remote_record_has_no_facts_of_a_file),
		WITH_FOLDER(record_without_an_entry_has_no_name),
		WITH_FOLDER(record_with_a_name_that_none_may_have_is_not_written),
		WITH_FOLDER(file_is_readable_whatever_the_umask),
		WITH_FOLDER(record_without_uuid_or_source_is_not_written),
		WITH_FOLDER(missing_record_is_enoent),
		WITH_FOLDER(files_that_are_no_json_objects_are_damaged),
		cmocka_unit_test(every_truncation_is_damaged),
		WITH_FOLDER(values_of_wrong_type_or_range_are_damaged),
		WITH_FOLDER(huge_file_is_damaged),
		WITH_FOLDER(fifos_links_and_folders_are_damaged),
		WITH_FOLDER(record_of_another_uuid_stays),
		WITH_FOLDER(removal_takes_record_and_socket),
		WITH_FOLDER(damaged_record_is_removed_without_uuid),
		WITH_FOLDER(lock_keeps_others_out_until_closed),
		cmocka_unit_test(init_names_this_process_and_a_new_uuid),
		cmocka_unit_test(identifier_leads_back_to_the_source),
		cmocka_unit_test(identifiers_of_others_have_no_source),
		cmocka_unit_test(long_identifier_is_cut_at_a_whole_character),
		cmocka_unit_test(newline_in_the_source_does_not_end_the_identifier),
		cmocka_unit_test(record_lives_with_its_keeper_and_its_uuid),
		cmocka_unit_test(record_of_another_attachment_is_stale),
		cmocka_unit_test(ioctl_record_lives_as_long_as_its_thread_attaches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
