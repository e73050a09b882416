/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned buffers out of one budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buffers.h"

#define MIB ((size_t)1024 * 1024)
#define BUDGET (64 * MIB)

static int set_up(void **state)
{
	return buffers_new(BUDGET, 0, (struct buffers **)state);
}

static int tear_down(void **state)
{
	buffers_free(*state);
	return 0;
}

static void buffers_are_aligned_and_writable(void **state)
{
	for (size_t size = 1; size <= BUFFER_MAXIMUM; size = size * 3 + 1) {
		void *buffer = buffers_get(*state, size);

		assert_non_null(buffer);
		assert_int_equal((uintptr_t)buffer % BUFFER_ALIGNMENT, 0);
		memset(buffer, 1, size);
		buffers_put(*state, buffer);
	}
}

static void budget_is_the_limit(void **state)
{
	assert_non_null(buffers_get(*state, BUFFER_MAXIMUM));
	assert_non_null(buffers_get(*state, BUFFER_MAXIMUM));
	assert_null(buffers_get(*state, 1));
}

static void larger_than_the_maximum_is_refused(void **state)
{
	assert_null(buffers_get(*state, (size_t)BUFFER_MAXIMUM + 1));
	assert_null(buffers_get(*state, SIZE_MAX));
}

static void whole_budget_can_be_used_as_small_buffers(void **state)
{
	size_t count = 0;

	while (buffers_get(*state, 4096))
		count++;
	assert_int_equal(count, BUDGET / 4096);
}

static void returned_buffer_comes_next(void **state)
{
	void *first = buffers_get(*state, 8192);
	void *second = buffers_get(*state, 8192);

	buffers_put(*state, first);
	assert_ptr_equal(buffers_get(*state, 5000), first);
	buffers_put(*state, second);
	buffers_put(*state, NULL);
	assert_ptr_equal(buffers_get(*state, 8000), second);
}

static void small_buffers_join_to_large_ones(void **state)
{
	void **small = calloc(BUDGET / 4096, sizeof(*small));

	for (size_t i = 0; i < BUDGET / 4096; i++)
		small[i] = buffers_get(*state, 4096);
	assert_null(buffers_get(*state, BUFFER_MAXIMUM));
	for (size_t i = 0; i < BUDGET / 4096; i += 2)
		buffers_put(*state, small[i]);
	/* Half is free, but no two neighbours are. */
	assert_null(buffers_get(*state, 8192));
	for (size_t i = 1; i < BUDGET / 4096; i += 2)
		buffers_put(*state, small[i]);
	assert_non_null(buffers_get(*state, BUFFER_MAXIMUM));
	assert_non_null(buffers_get(*state, BUFFER_MAXIMUM));
	free(small);
}

struct held {
	unsigned char *buffer;
	size_t size;
	unsigned char mark;
};

static void check_and_put(struct buffers *buffers, struct held *held)
{
	for (size_t i = 0; held->buffer && i < held->size; i += 1000)
		assert_int_equal(held->buffer[i], held->mark);
	buffers_put(buffers, held->buffer);
	held->buffer = NULL;
}

static void buffers_never_overlap(void **state)
{
	struct held held[64] = { 0 };
	unsigned int seed = 4711;

	for (int i = 0; i < 3000; i++) {
		struct held *at = &held[rand_r(&seed) % 64];

		check_and_put(*state, at);
		at->size = (size_t)1 << (rand_r(&seed) % 23);
		at->mark = (unsigned char)i;
		at->buffer = buffers_get(*state, at->size);
		if (at->buffer)
			memset(at->buffer, at->mark, at->size);
	}
	for (int i = 0; i < 64; i++)
		check_and_put(*state, &held[i]);
	assert_non_null(buffers_get(*state, BUFFER_MAXIMUM));
	assert_non_null(buffers_get(*state, BUFFER_MAXIMUM));
}

static void largest_request_fits_into_the_smallest_budget(void **state)
{
	struct buffers *buffers;

	(void)state;
	assert_int_equal(buffers_new(1, MIB, &buffers), 0);
	assert_non_null(buffers_get(buffers, BUFFER_MAXIMUM));
	assert_null(buffers_get(buffers, 1));
	buffers_free(buffers);
	buffers_free(NULL);
}

static void odd_budget_is_used_too(void **state)
{
	struct buffers *buffers;
	size_t count = 0;

	(void)state;
	assert_int_equal(buffers_new(33 * MIB + 4096 * 3, 0, &buffers), 0);
	assert_non_null(buffers_get(buffers, BUFFER_MAXIMUM));
	while (buffers_get(buffers, 4096))
		count++;
	assert_int_equal(count, MIB / 4096 + 3);
	buffers_free(buffers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(buffers_are_aligned_and_writable),
		TEST(budget_is_the_limit),
		TEST(larger_than_the_maximum_is_refused),
		TEST(whole_budget_can_be_used_as_small_buffers),
		TEST(returned_buffer_comes_next),
		TEST(small_buffers_join_to_large_ones),
		TEST(buffers_never_overlap),
		cmocka_unit_test(largest_request_fits_into_the_smallest_budget),
		cmocka_unit_test(odd_budget_is_used_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
