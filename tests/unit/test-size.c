/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nbdtools.h"

static void check(const char *text, int result, uint64_t bytes)
{
	uint64_t got = 42;

	if (nbdt_parse_size(text, &got) != result)
		fail_msg("'%s' gave another result", text);
	assert_int_equal(got, result ? 42 : bytes);
}

static void plain_number_is_bytes(void **state)
{
	(void)state;
	check("0", 0, 0);
	check("4096", 0, 4096);
	check("0010", 0, 10);
}

static void letters_count_1024(void **state)
{
	(void)state;
	check("1K", 0, 1024);
	check("1k", 0, 1024);
	check("10M", 0, 10 << 20);
	check("3G", 0, UINT64_C(3) << 30);
	check("2T", 0, UINT64_C(2) << 40);
	check("1P", 0, UINT64_C(1) << 50);
	check("7E", 0, UINT64_C(7) << 60);
	check("1KiB", 0, 1024);
	check("1GiB", 0, 1 << 30);
	check("1EiB", 0, UINT64_C(1) << 60);
}

static void kb_counts_1000(void **state)
{
	(void)state;
	check("1KB", 0, 1000);
	check("1kB", 0, 1000);
	check("5MB", 0, 5000000);
	check("9EB", 0, UINT64_C(9000000000000000000));
}

static void size_over_2_to_63_is_out_of_range(void **state)
{
	(void)state;
	check("9223372036854775807", 0, INT64_MAX);
	check("9223372036854775808", -ERANGE, 0);
	check("18446744073709551615", -ERANGE, 0);
	check("18446744073709551616", -ERANGE, 0);
	check("99999999999999999999999", -ERANGE, 0);
	check("8E", -ERANGE, 0);
	check("16E", -ERANGE, 0);
	check("17E", -ERANGE, 0);
	check("18446744073709551615K", -ERANGE, 0);
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const texts[] = { "", "K", "-1", "+1", " 1", "1 ", "1 K", "1KK", "1Ki",
		"1KiBB", "1B", "1X", "1.5G", "0x10", "1Kb", "1iB", "1e3", "\t1", "1\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check(texts[i], -EINVAL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_number_is_bytes),
		cmocka_unit_test(letters_count_1024),
		cmocka_unit_test(kb_counts_1000),
		cmocka_unit_test(size_over_2_to_63_is_out_of_range),
		cmocka_unit_test(what_is_no_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
