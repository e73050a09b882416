/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "device-internal.h"
#include "fake-sysfs.h"

static void name_of_the_disk_is_taken(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("nbd0", false), 0);
	assert_int_equal(nbdt_device_parse("nbd15", false), 15);
	assert_int_equal(nbdt_device_parse("nbd2147483647", false), INT_MAX);
}

static void path_of_the_node_is_taken_without_the_device(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("/dev/nbd0", false), 0);
	assert_int_equal(nbdt_device_parse("/dev/nbd12345", false), 12345);
}

static void bare_number_is_taken_only_when_asked_for(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("0", true), 0);
	assert_int_equal(nbdt_device_parse("17", true), 17);
	assert_int_equal(nbdt_device_parse("nbd17", true), 17);
	assert_int_equal(nbdt_device_parse("0", false), -EINVAL);
	assert_int_equal(nbdt_device_parse("17", false), -EINVAL);
}

static void partition_is_no_device(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("nbd0p1", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("/dev/nbd0p1", true), -EINVAL);
}

static void number_too_large_is_refused(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("nbd2147483648", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd4294967296", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd99999999999", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("18446744073709551616", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd36893488147419103232", true), -EINVAL);
}

static void leading_zeros_are_refused(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("nbd00", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd01", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("007", true), -EINVAL);
}

static void signs_and_blanks_are_refused(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("nbd-1", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("-1", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("+1", true), -EINVAL);
	assert_int_equal(nbdt_device_parse(" 1", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd 1", true), -EINVAL);
}

static void trailing_junk_is_refused(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("nbd0 ", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd0\n", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd0x", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("0x1", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("/dev/nbd0/", true), -EINVAL);
}

static void other_words_are_refused(void **state)
{
	(void)state;
	assert_int_equal(nbdt_device_parse("", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("/dev/", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("sda", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("NBD0", true), -EINVAL);
	assert_int_equal(nbdt_device_parse("nbd://host/export", true), -EINVAL);
}

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

static void path_to_something_else_is_refused(void **state)
{
	const char *root = *state;
	char path[PATH_MAX];

	fake_file(root, "nbd0", "");
	fake_link(root, "null", "/dev/null");
	fake_link(root, "nowhere", "/nowhere/nbd0");
	snprintf(path, sizeof(path), "%s/nbd0", root);
	assert_int_equal(nbdt_device_parse(path, true), -EINVAL);
	snprintf(path, sizeof(path), "%s/null", root);
	assert_int_equal(nbdt_device_parse(path, true), -EINVAL);
	snprintf(path, sizeof(path), "%s/nowhere", root);
	assert_int_equal(nbdt_device_parse(path, true), -EINVAL);
}

static void node_by_another_name_is_found_by_its_number(void **state)
{
	const char *root = *state;

	fake_link(root, "43:64", "../../devices/virtual/block/nbd2");
	fake_link(root, "43:65", "../../devices/virtual/block/nbd2/nbd2p1");
	fake_link(root, "8:0", "../../devices/pci0/block/sda");
	assert_int_equal(device_find_number(root, 43, 64), 2);
	assert_int_equal(device_find_number(root, 43, 65), -EINVAL);
	assert_int_equal(device_find_number(root, 8, 0), -EINVAL);
	assert_int_equal(device_find_number(root, 43, 0), -EINVAL);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_of_the_disk_is_taken),
		cmocka_unit_test(path_of_the_node_is_taken_without_the_device),
		cmocka_unit_test(bare_number_is_taken_only_when_asked_for),
		cmocka_unit_test(partition_is_no_device),
		cmocka_unit_test(number_too_large_is_refused),
		cmocka_unit_test(leading_zeros_are_refused),
		cmocka_unit_test(signs_and_blanks_are_refused),
		cmocka_unit_test(trailing_junk_is_refused),
		cmocka_unit_test(other_words_are_refused),
		WITH_ROOT(path_to_something_else_is_refused),
		WITH_ROOT(node_by_another_name_is_found_by_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
