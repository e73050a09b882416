/* SPDX-License-Identifier: Apache-2.0 */
/* The ranges of a READ that were told so far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-transmission.h"

#define BYTES 300u

static unsigned int below(unsigned int *seed, unsigned int limit)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 16) % limit;
}

/* As the ranges should be, from a map with one entry for each byte. */
static void check_ranges(const struct client_coverage *coverage, const bool *map)
{
	size_t count = 0;

	for (uint32_t at = 0; at < BYTES; at++) {
		if (!map[at])
			continue;
		uint32_t begin = at;
		while (at < BYTES && map[at])
			at++;
		assert_true(count < coverage->count);
		assert_int_equal(coverage->ranges[count].begin, begin);
		assert_int_equal(coverage->ranges[count].end, at);
		count++;
	}
	assert_int_equal(coverage->count, count);
}

static bool map_add(bool *map, uint32_t begin, uint32_t end)
{
	for (uint32_t at = begin; at < end; at++)
		if (map[at])
			return false;
	memset(map + begin, true, end - begin);
	return true;
}

static void rule_41_overlaps_are_found_and_neighbours_joined(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 300; round++) {
		struct client_coverage coverage = { .count = 0 };
		bool map[BYTES] = { false };
		unsigned int seed = round;

		for (unsigned int i = 0; i < 200; i++) {
			uint32_t begin = below(&seed, BYTES);
			uint32_t end = begin + 1 + below(&seed, 1 + round % 20);
			if (end > BYTES)
				end = BYTES;
			bool free = map_add(map, begin, end);
			assert_int_equal(client_cover(&coverage, begin, end), free);
			check_ranges(&coverage, map);
		}
	}
}

static void rule_41_any_order_of_sectors_in_256_kib_is_kept(void **state)
{
	struct client_coverage *coverage = calloc(1, sizeof(*coverage));

	(void)state;
	for (uint32_t sector = 1; sector < 512; sector += 2)
		assert_true(client_cover(coverage, sector * 512, sector * 512 + 512));
	for (uint32_t sector = 512; sector; sector -= 2)
		assert_true(client_cover(coverage, sector * 512 - 1024, sector * 512 - 512));
	assert_int_equal(coverage->count, 1);
	assert_int_equal(coverage->ranges[0].end, 256 * 1024);
	free(coverage);
}

static void too_many_ranges_are_refused(void **state)
{
	struct client_coverage *coverage = calloc(1, sizeof(*coverage));

	(void)state;
	for (uint32_t i = 0; i < CLIENT_RANGES; i++)
		assert_true(client_cover(coverage, 3 * i, 3 * i + 1));
	assert_false(client_cover(coverage, 3 * CLIENT_RANGES, 3 * CLIENT_RANGES + 1));
	assert_true(client_cover(coverage, 1, 3));
	assert_true(client_cover(coverage, 3 * CLIENT_RANGES, 3 * CLIENT_RANGES + 1));
	free(coverage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_41_overlaps_are_found_and_neighbours_joined),
		cmocka_unit_test(rule_41_any_order_of_sectors_in_256_kib_is_kept),
		cmocka_unit_test(too_many_ranges_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
