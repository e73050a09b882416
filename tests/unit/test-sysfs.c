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
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "bounded.h"
#include "cleanup.h"
#include "device-internal.h"
#include "fake-sysfs.h"
#include "process.h"
#include "sysfs.h"

static int setup(void **state)
{
	*state = fake_root();
	return 0;
}

static int teardown(void **state)
{
	fake_remove(*state);
	return 0;
}

/* A device as the kernel shows it when nobody uses it. */
static void fake_device(const char *root, const char *name, const char *number)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/dev", name);
	fake_file(root, path, number);
	snprintf(path, sizeof(path), "%s/size", name);
	fake_file(root, path, "0\n");
	snprintf(path, sizeof(path), "%s/ro", name);
	fake_file(root, path, "0\n");
	snprintf(path, sizeof(path), "%s/queue/logical_block_size", name);
	fake_file(root, path, "512\n");
	snprintf(path, sizeof(path), "%s/queue/max_sectors_kb", name);
	fake_file(root, path, "128\n");
	snprintf(path, sizeof(path), "%s/queue/max_hw_sectors_kb", name);
	fake_file(root, path, "32767\n");
}

static void numbers_are_read_without_their_newline(void **state)
{
	uint64_t value = 1;

	fake_file(*state, "zero", "0\n");
	fake_file(*state, "largest", "18446744073709551615");
	int folder = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(sysfs_read_u64(folder, "zero", &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(sysfs_read_u64(folder, "largest", &value), 0);
	assert_true(value == UINT64_MAX);
	close(folder);
}

static void what_is_no_number_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "-1", "+1", " 1", "1 ", "01", "0x1", "1\n2", "1.5",
	};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(sysfs_parse_u64(texts[i], &value), -EINVAL);
	assert_int_equal(sysfs_parse_u64("18446744073709551616", &value), -ERANGE);
}

static void text_that_does_not_fit_is_refused(void **state)
{
	char text[4];

	fake_file(*state, "three", "abc");
	fake_file(*state, "four", "abcd");
	int folder = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(sysfs_read_text(folder, "three", text, sizeof(text)), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(sysfs_read_text(folder, "four", text, sizeof(text)), -EOVERFLOW);
	assert_int_equal(sysfs_read_text(folder, "none", text, sizeof(text)), -ENOENT);
	close(folder);
}

static void free_device_is_read(void **state)
{
	struct nbdt_device_info info;

	fake_device(*state, "nbd3", "43:96\n");
	assert_int_equal(device_read_at(*state, 3, &info), 0);
	assert_int_equal(info.index, 3);
	assert_int_equal(info.major, 43);
	assert_int_equal(info.minor, 96);
	assert_int_equal(info.state, NBDT_DEVICE_FREE);
	assert_int_equal(info.pid, 0);
	assert_int_equal(info.size, 0);
	assert_int_equal(info.block_size, 512);
	assert_int_equal(info.max_sectors_kb, 128);
	assert_false(info.read_only);
	assert_int_equal(info.partitions, 0);
	assert_string_equal(info.backend, "");
}

static void connected_device_is_read(void **state)
{
	struct nbdt_device_info info;

	fake_device(*state, "nbd0", "43:0\n");
	fake_file(*state, "nbd0/pid", "4711\n");
	fake_file(*state, "nbd0/backend", "nbd-tools:x:/a b\n");
	fake_file(*state, "nbd0/size", "2097153\n");
	fake_file(*state, "nbd0/ro", "1\n");
	fake_file(*state, "nbd0/queue/logical_block_size", "4096\n");
	assert_int_equal(device_read_at(*state, 0, &info), 0);
	assert_int_equal(info.state, NBDT_DEVICE_CONNECTED);
	assert_int_equal(info.pid, 4711);
	assert_string_equal(info.backend, "nbd-tools:x:/a b");
	assert_true(info.size == UINT64_C(2097153) * 512);
	assert_true(info.read_only);
	assert_int_equal(info.block_size, 4096);
}

static void size_that_overflows_counts_as_none(void **state)
{
	struct nbdt_device_info info;

	fake_device(*state, "nbd0", "43:0\n");
	fake_file(*state, "nbd0/size", "18446744073709551615\n");
	assert_int_equal(device_read_at(*state, 0, &info), 0);
	assert_int_equal(info.size, 0);
}

static void missing_device_is_enodev(void **state)
{
	struct nbdt_device_info info;

	assert_int_equal(device_read_at(*state, 0, &info), -ENODEV);
	assert_int_equal(device_read_at(*state, -1, &info), -ENODEV);
	/* A folder whose attributes are gone: removed while it was read. */
	fake_folder(*state, "nbd1");
	assert_int_equal(device_read_at(*state, 1, &info), -ENODEV);
}

static void devices_are_listed_in_order_with_gaps(void **state)
{
	struct nbdt_device_info *list;
	size_t count;

	fake_device(*state, "nbd10", "43:320\n");
	fake_device(*state, "nbd2", "43:64\n");
	fake_device(*state, "nbd0", "43:0\n");
	fake_device(*state, "sda", "8:0\n");
	fake_device(*state, "nbd0p1", "43:1\n");
	fake_folder(*state, "nbd5");
	assert_int_equal(device_list_at(*state, &list, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(list[0].index, 0);
	assert_int_equal(list[1].index, 2);
	assert_int_equal(list[2].index, 10);
	free(list);
}

static void machine_without_sysfs_has_no_devices(void **state)
{
	struct nbdt_device_info *list;
	char path[128];
	size_t count;

	snprintf(path, sizeof(path), "%s/none", (const char *)*state);
	assert_int_equal(device_list_at(path, &list, &count), 0);
	assert_int_equal(count, 0);
	free(list);
}

static void partitions_are_the_folders_that_say_so(void **state)
{
	struct device_node *nodes;
	size_t count;

	fake_device(*state, "nbd1", "43:32\n");
	fake_file(*state, "nbd1/nbd1p10/partition", "10\n");
	fake_file(*state, "nbd1/nbd1p10/dev", "43:42\n");
	fake_file(*state, "nbd1/nbd1p2/partition", "2\n");
	fake_file(*state, "nbd1/nbd1p2/dev", "259:7\n");
	fake_file(*state, "nbd1/nbdthing/dev", "1:1\n");
	assert_int_equal(device_list_nodes(*state, 1, &nodes, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(nodes[0].name, "nbd1");
	assert_int_equal(nodes[0].minor, 32);
	assert_string_equal(nodes[1].name, "nbd1p2");
	assert_int_equal(nodes[1].major, 259);
	assert_string_equal(nodes[2].name, "nbd1p10");
	free(nodes);
}

static void check_request_size(const char *root, uint32_t bytes, const char *expected)
{
	fake_file(root, "nbd0/queue/max_sectors_kb", "");
	assert_int_equal(device_set_max_request_at(root, 0, bytes, NULL), 0);
	char *text = fake_read(root, "nbd0/queue/max_sectors_kb");
	assert_string_equal(text, expected);
	free(text);
}

static void request_size_is_cut_to_what_the_kernel_takes(void **state)
{
	fake_device(*state, "nbd0", "43:0\n");
	check_request_size(*state, 1024 * 1024, "1024");
	check_request_size(*state, UINT32_MAX, "32764");
	check_request_size(*state, 1024 * 1024 + 1023, "1024");
	fake_file(*state, "nbd0/queue/logical_block_size", "65536\n");
	check_request_size(*state, 100 * 1024, "64");
}

static void request_size_below_a_page_is_refused(void **state)
{
	struct nbdt_error err;

	fake_device(*state, "nbd0", "43:0\n");
	assert_int_equal(device_set_max_request_at(*state, 0, 2048, &err), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_int_equal(device_set_max_request_at(*state, 7, 1 << 20, &err), -ENODEV);
}

static void nodes_of_any_disk_or_partition_are_found_by_number(void **state)
{
	char numbers[128];
	struct device_node *nodes;
	size_t count;

	snprintf(numbers, sizeof(numbers), "%s/dev", (char *)*state);
	fake_device(*state, "block/sda", "8:0\n");
	fake_device(*state, "block/sda/sda1", "8:1\n");
	fake_file(*state, "block/sda/sda1/partition", "1\n");
	fake_link(*state, "dev/8:0", "../block/sda");
	fake_link(*state, "dev/8:1", "../block/sda/sda1");
	assert_int_equal(device_list_nodes_of(numbers, 8, 0, &nodes, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(nodes[0].name, "sda");
	assert_string_equal(nodes[1].name, "sda1");
	free(nodes);
	assert_int_equal(device_list_nodes_of(numbers, 8, 1, &nodes, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(nodes[0].name, "sda1");
	free(nodes);
	assert_int_equal(device_list_nodes_of(numbers, 8, 2, &nodes, &count), -ENODEV);
}

static void announcement_reaches_the_disk_and_its_partitions(void **state)
{
	fake_device(*state, "nbd3", "43:96\n");
	fake_file(*state, "nbd3/uevent", "");
	fake_file(*state, "nbd3/nbd3p1/dev", "43:97\n");
	fake_file(*state, "nbd3/nbd3p1/partition", "1\n");
	fake_file(*state, "nbd3/nbd3p1/uevent", "");
	/* One that vanishes meanwhile. */
	fake_file(*state, "nbd3/nbd3p2/dev", "43:98\n");
	fake_file(*state, "nbd3/nbd3p2/partition", "2\n");
	assert_int_equal(device_announce_at(*state, 3), 0);
	CLEANUP_FREE char *disk = fake_read(*state, "nbd3/uevent");
	assert_string_equal(disk, "change");
	CLEANUP_FREE char *partition = fake_read(*state, "nbd3/nbd3p1/uevent");
	assert_string_equal(partition, "change");
	assert_int_equal(device_announce_at(*state, 4), -ENODEV);
}

#define STAT_TAIL " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 123456789 20 21"

static void process_name_does_not_mislead_the_start_time(void **state)
{
	uint64_t start;
	char letter;

	(void)state;
	assert_int_equal(process_parse_stat("7 (sh)" STAT_TAIL, &letter, &start), 0);
	assert_int_equal(letter, 'S');
	assert_int_equal(start, 123456789);
	assert_int_equal(process_parse_stat("7 (a) R 1 (b c)" STAT_TAIL, &letter, &start), 0);
	assert_int_equal(letter, 'S');
	assert_int_equal(start, 123456789);
}

static void damaged_process_line_is_refused(void **state)
{
	uint64_t start;
	char letter;

	(void)state;
	assert_int_equal(process_parse_stat("", &letter, &start), -EINVAL);
	assert_int_equal(process_parse_stat("7 (sh)", &letter, &start), -EINVAL);
	assert_int_equal(process_parse_stat("7 (sh) S 1 2 3", &letter, &start), -EINVAL);
	assert_int_equal(process_parse_stat("7 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 "
					    "18 -1 2", &letter, &start), -EINVAL);
}

static void own_process_is_running(void **state)
{
	uint64_t start;

	(void)state;
	assert_int_equal(process_start_time(getpid(), &start), 0);
	assert_true(process_is_running(getpid(), start));
	assert_false(process_is_running(getpid(), start + 1));
	assert_false(process_is_running(0, start));
	assert_true(process_has_thread(getpid(), getpid()));
	assert_false(process_has_thread(getpid(), 1));
}

static int return_argument(const void *arg)
{
	return *(const int *)arg;
}

static int sleep_long(const void *arg)
{
	(void)arg;
	sleep(5);
	return 0;
}

static int count_descriptors(const void *arg)
{
	int count = 0;

	(void)arg;
	for (int fd = 1; fd < 1000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return -count;
}

static void bounded_work_returns_its_result(void **state)
{
	const int good = 0, bad = -EIO;

	(void)state;
	assert_int_equal(bounded_run(return_argument, &good, 5000), 0);
	assert_int_equal(bounded_run(return_argument, &bad, 5000), -EIO);
}

static void bounded_work_is_left_behind_in_time(void **state)
{
	(void)state;
	int64_t before = backoff_now();
	assert_int_equal(bounded_run(sleep_long, NULL, 50), -ETIMEDOUT);
	assert_true(backoff_now() - before < 3000);
}

static void bounded_work_holds_none_of_our_descriptors(void **state)
{
	(void)state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(bounded_run(count_descriptors, NULL, 5000), 0);
	close(fd);
}

static int open_null(const void *arg)
{
	return open(arg, O_RDONLY);
}

static void bounded_work_hands_over_what_it_opened(void **state)
{
	struct stat status;

	(void)state;
	CLEANUP_CLOSE int fd = bounded_run(open_null, "/dev/null", 5000);
	assert_true(fd > 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_true(status.st_rdev == makedev(1, 3));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(numbers_are_read_without_their_newline),
		cmocka_unit_test(what_is_no_number_is_refused),
		WITH_ROOT(text_that_does_not_fit_is_refused),
		WITH_ROOT(free_device_is_read),
		WITH_ROOT(connected_device_is_read),
		WITH_ROOT(size_that_overflows_counts_as_none),
		WITH_ROOT(missing_device_is_enodev),
		WITH_ROOT(devices_are_listed_in_order_with_gaps),
		WITH_ROOT(machine_without_sysfs_has_no_devices),
		WITH_ROOT(partitions_are_the_folders_that_say_so),
		WITH_ROOT(request_size_is_cut_to_what_the_kernel_takes),
		WITH_ROOT(request_size_below_a_page_is_refused),
		WITH_ROOT(nodes_of_any_disk_or_partition_are_found_by_number),
		WITH_ROOT(announcement_reaches_the_disk_and_its_partitions),
		cmocka_unit_test(process_name_does_not_mislead_the_start_time),
		cmocka_unit_test(damaged_process_line_is_refused),
		cmocka_unit_test(own_process_is_running),
		cmocka_unit_test(bounded_work_returns_its_result),
		cmocka_unit_test(bounded_work_is_left_behind_in_time),
		cmocka_unit_test(bounded_work_holds_none_of_our_descriptors),
		cmocka_unit_test(bounded_work_hands_over_what_it_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
