/* SPDX-License-Identifier: Apache-2.0 */
/* Where files have holes. */
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

#define BLOCK 65536u /* bytes: whole blocks of every filesystem */
#define HOLE (NBDT_EXTENT_HOLE | NBDT_EXTENT_ZERO)
#define EXTENTS 16

struct fixture {
	char path[64];
	int fd;
	struct nbdt_device *device;
	struct nbdt_extent extents[EXTENTS];
	size_t count;
};

static int set_up_in(void **state, const char *where)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	snprintf(fixture->path, sizeof(fixture->path), "%s/nbdt-extents-XXXXXX", where);
	fixture->fd = mkstemp(fixture->path);
	assert_true(fixture->fd >= 0);
	*state = fixture;
	return 0;
}

static int set_up(void **state)
{
	return set_up_in(state, "/tmp");
}

static int set_up_on_tmpfs(void **state)
{
	return set_up_in(state, "/dev/shm");
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	nbdt_device_close(fixture->device);
	close(fixture->fd);
	unlink(fixture->path);
	free(fixture);
	return 0;
}

static void fill(struct fixture *fixture, uint64_t offset, size_t length)
{
	unsigned char *data = malloc(length);

	memset(data, 'd', length);
	assert_int_equal(pwrite(fixture->fd, data, length, (off_t)offset), length);
	free(data);
}

static void set_size(struct fixture *fixture, uint64_t size)
{
	assert_int_equal(ftruncate(fixture->fd, (off_t)size), 0);
}

static void open_device(struct fixture *fixture, const struct nbdt_file_options *options)
{
	assert_int_equal(
		nbdt_device_open_file(fixture->path, options, &fixture->device, NULL, NULL), 0);
}

static int ask(struct fixture *fixture, uint64_t offset, uint64_t length, size_t limit)
{
	fixture->count = limit;
	return fixture->device->ops->extents(
		fixture->device, offset, length, 0, fixture->extents, &fixture->count);
}

/* Asks, and gets just these: COUNT pairs of length and flags. */
static void check(struct fixture *fixture, uint64_t offset, uint64_t length,
	const struct nbdt_extent *expected, size_t count)
{
	assert_int_equal(ask(fixture, offset, length, EXTENTS), 0);
	assert_int_equal(fixture->count, count);
	for (size_t i = 0; i < count; i++) {
		assert_true(fixture->extents[i].length == expected[i].length);
		assert_int_equal(fixture->extents[i].flags, expected[i].flags);
	}
}

static void holes_and_data_take_turns(void **state)
{
	static const struct nbdt_extent whole[] = { { 2 * BLOCK, HOLE }, { BLOCK, 0 },
		{ 3 * BLOCK, HOLE }, { 2 * BLOCK, 0 }, { BLOCK, HOLE } };
	static const struct nbdt_extent middle[] = { { 1000, 0 }, { 3 * BLOCK, HOLE }, { 7, 0 } };
	static const struct nbdt_extent hole[] = { { 1000, HOLE } };
	static const struct nbdt_extent data[] = { { BLOCK, 0 } };
	struct fixture *fixture = *state;

	set_size(fixture, 9 * BLOCK);
	fill(fixture, 2 * BLOCK, BLOCK);
	fill(fixture, 6 * BLOCK, 2 * BLOCK);
	open_device(fixture, NULL);
	check(fixture, 0, 9 * BLOCK, whole, 5);
	check(fixture, 3 * BLOCK - 1000, 3 * BLOCK + 1007, middle, 3);
	check(fixture, 5, 1000, hole, 1);
	check(fixture, 6 * BLOCK + BLOCK / 2, BLOCK, data, 1);
}

static void file_without_holes_is_one_extent(void **state)
{
	static const struct nbdt_extent data[] = { { 3 * BLOCK, 0 } };
	struct fixture *fixture = *state;

	fill(fixture, 0, 3 * BLOCK);
	open_device(fixture, NULL);
	check(fixture, 0, 3 * BLOCK, data, 1);
}

static void limit_is_kept(void **state)
{
	struct fixture *fixture = *state;

	set_size(fixture, 100 * BLOCK);
	for (unsigned int i = 0; i < 100; i += 2)
		fill(fixture, i * (uint64_t)BLOCK, BLOCK);
	open_device(fixture, NULL);
	for (size_t limit = 1; limit <= EXTENTS; limit++) {
		assert_int_equal(ask(fixture, 0, 100 * BLOCK, limit), 0);
		assert_int_equal(fixture->count, limit);
		for (size_t i = 0; i < limit; i++) {
			assert_int_equal(fixture->extents[i].length, BLOCK);
			assert_int_equal(fixture->extents[i].flags, i % 2 ? HOLE : 0);
		}
	}
}

static void trimmed_data_are_a_hole(void **state)
{
	static const struct nbdt_extent expected[] = { { BLOCK, 0 }, { BLOCK, HOLE },
		{ BLOCK, 0 } };
	struct nbdt_request request = { .offset = BLOCK, .length = BLOCK };
	struct fixture *fixture = *state;

	fill(fixture, 0, 3 * BLOCK);
	open_device(fixture, NULL);
	if (!fixture->device->ops->trim)
		skip();
	assert_int_equal(fixture->device->ops->trim(fixture->device, &request), 0);
	check(fixture, 0, 3 * BLOCK, expected, 3);
}

static uint64_t ask_roughly(struct fixture *fixture, uint64_t offset, uint64_t length)
{
	fixture->count = EXTENTS;
	assert_int_equal(fixture->device->ops->extents(fixture->device, offset, length,
				 NBDT_EXTENTS_ROUGHLY, fixture->extents, &fixture->count),
		0);
	return fixture->extents[0].flags;
}

/* A rough answer may be old, as long as it says data; our own holes it knows. */
static void rough_answer_may_call_a_hole_data(void **state)
{
	static const struct nbdt_extent hole[] = { { BLOCK, HOLE } };
	struct nbdt_request request = { .length = BLOCK };
	struct fixture *fixture = *state;

	set_size(fixture, 4 * BLOCK);
	fill(fixture, 0, 3 * BLOCK);
	open_device(fixture, NULL);
	if (!fixture->device->ops->trim)
		skip();
	assert_int_equal(ask_roughly(fixture, 0, BLOCK), 0);
	assert_int_equal(
		fallocate(fixture->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, BLOCK),
		0);
	assert_int_equal(ask_roughly(fixture, BLOCK, BLOCK), 0);
	check(fixture, BLOCK, BLOCK, hole, 1);
	assert_int_equal(fixture->device->ops->trim(fixture->device, &request), 0);
	assert_int_equal(ask_roughly(fixture, 0, BLOCK), HOLE);
	/* Never the other way round. */
	fill(fixture, 0, BLOCK);
	assert_int_equal(ask_roughly(fixture, 0, BLOCK), 0);
}

/* Holes that others made tell what is still remembered, and not looked for. */
static void trim_makes_it_forget_no_more_than_it_must(void **state)
{
	static const unsigned int trimmed[] = { 0, 1, 6, 7 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(trimmed) / sizeof(trimmed[0]); i++) {
		struct nbdt_request request = {
			.offset = trimmed[i] * (uint64_t)BLOCK,
			.length = BLOCK,
		};

		set_size(fixture, 9 * BLOCK);
		fill(fixture, 0, 8 * BLOCK);
		open_device(fixture, NULL);
		if (!fixture->device->ops->trim)
			skip();
		assert_int_equal(ask_roughly(fixture, 0, BLOCK), 0);
		assert_int_equal(fallocate(fixture->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			3 * (off_t)BLOCK, BLOCK), 0);
		assert_int_equal(fixture->device->ops->trim(fixture->device, &request), 0);
		assert_int_equal(ask_roughly(fixture, trimmed[i] * (uint64_t)BLOCK, BLOCK), HOLE);
		assert_int_equal(ask_roughly(fixture, 3 * (uint64_t)BLOCK, BLOCK), 0);
		nbdt_device_close(fixture->device);
		fixture->device = NULL;
	}
}

/* There is no search in what has no holes, or none that would be worth it. */
static void allocated_file_is_roughly_data(void **state)
{
	struct fixture *fixture = *state;

	if (fallocate(fixture->fd, 0, 0, 3 * BLOCK))
		skip();
	open_device(fixture, NULL);
	assert_int_equal(ask_roughly(fixture, 0, 3 * BLOCK), 0);
	set_size(fixture, 9 * BLOCK);
	assert_int_equal(ask_roughly(fixture, 4 * BLOCK, BLOCK), HOLE);
}

/* The device begins and ends inside of the filesystem's blocks. */
static void odd_window_never_calls_data_a_hole(void **state)
{
	const struct nbdt_file_options options = { .offset = BLOCK + 4097, .block_size = 1 };
	struct fixture *fixture = *state;
	uint64_t covered = 0, data = 0;

	set_size(fixture, 5 * BLOCK + 99);
	fill(fixture, 3 * BLOCK, BLOCK);
	open_device(fixture, &options);
	uint64_t size = nbdt_device_size(fixture->device);
	assert_int_equal(size, 4 * BLOCK + 99 - 4097);
	assert_int_equal(ask(fixture, 0, size, EXTENTS), 0);
	assert_int_equal(fixture->count, 3);
	for (size_t i = 0; i < fixture->count; i++) {
		if (!fixture->extents[i].flags)
			data += fixture->extents[i].length;
		covered += fixture->extents[i].length;
		assert_true(covered % 512 == 0 || covered == size);
	}
	assert_int_equal(covered, size);
	assert_true(fixture->extents[0].length <= 2 * BLOCK - 4097);
	assert_in_range(data, BLOCK, BLOCK + 1024);
}

static void what_a_truncated_file_lost_is_no_hole(void **state)
{
	static const struct nbdt_extent expected[] = { { BLOCK, 0 }, { BLOCK + 512, HOLE },
		{ 2 * BLOCK - 512, 0 } };
	static const struct nbdt_extent lost[] = { { BLOCK, 0 } };
	struct fixture *fixture = *state;

	set_size(fixture, 4 * BLOCK);
	fill(fixture, 0, BLOCK);
	open_device(fixture, NULL);
	set_size(fixture, 2 * BLOCK + 1000);
	check(fixture, 0, 4 * BLOCK, expected, 3);
	check(fixture, 3 * BLOCK, BLOCK, lost, 1);
	set_size(fixture, 0);
	check(fixture, 3 * BLOCK, BLOCK, lost, 1);
}

static void sparse_file_of_2_to_the_40_is_one_hole(void **state)
{
	const uint64_t size = UINT64_C(1) << 40;
	const struct nbdt_extent expected[] = { { size / 2, HOLE }, { BLOCK, 0 },
		{ size / 2 - BLOCK, HOLE } };
	const struct nbdt_extent empty[] = { { size, HOLE } };
	struct nbdt_request request = { .length = size };
	struct fixture *fixture = *state;

	set_size(fixture, size);
	fill(fixture, size / 2, BLOCK);
	open_device(fixture, NULL);
	check(fixture, 0, size, expected, 3);
	if (!fixture->device->ops->trim)
		skip();
	assert_int_equal(fixture->device->ops->trim(fixture->device, &request), 0);
	check(fixture, 0, size, empty, 1);
	/* Reading ahead of all that would fill the memory. */
	assert_int_equal(fixture->device->ops->cache(fixture->device, &request), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TMPFS_TEST(name)                                                  \
	{                                                                 \
#name "_on_tmpfs", name, set_up_on_tmpfs, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(holes_and_data_take_turns),
		TMPFS_TEST(holes_and_data_take_turns),
		TEST(file_without_holes_is_one_extent),
		TEST(limit_is_kept),
		TEST(trimmed_data_are_a_hole),
		TMPFS_TEST(trimmed_data_are_a_hole),
		TEST(rough_answer_may_call_a_hole_data),
		TMPFS_TEST(rough_answer_may_call_a_hole_data),
		TEST(trim_makes_it_forget_no_more_than_it_must),
		TMPFS_TEST(trim_makes_it_forget_no_more_than_it_must),
		TEST(allocated_file_is_roughly_data),
		TMPFS_TEST(allocated_file_is_roughly_data),
		TEST(odd_window_never_calls_data_a_hole),
		TEST(what_a_truncated_file_lost_is_no_hole),
		TMPFS_TEST(what_a_truncated_file_lost_is_no_hole),
		TEST(sparse_file_of_2_to_the_40_is_one_hole),
		TMPFS_TEST(sparse_file_of_2_to_the_40_is_one_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
