/* SPDX-License-Identifier: Apache-2.0 */
/* Devices above other devices: windows and overlays, against a model of what they should hold. */
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

#define SIZE (640u * 1024 + 512) /* ten clusters of an overlay, and a piece of one */

struct fixture {
	char folder[32];
	char base[64], overlay[64];
	unsigned char *model, *buffer;
	struct nbdt_device *device;
	unsigned int random;
};

static unsigned int next_random(struct fixture *fixture, unsigned int limit)
{
	fixture->random = fixture->random * 1103515245u + 12345u;
	return (fixture->random >> 8) % limit;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, "/tmp/nbdt-layers-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->base, sizeof(fixture->base), "%s/base", fixture->folder);
	snprintf(fixture->overlay, sizeof(fixture->overlay), "%s/overlay", fixture->folder);
	fixture->model = malloc(SIZE);
	fixture->buffer = aligned_alloc(4096, 1024 * 1024);
	fixture->random = 42;
	for (size_t i = 0; i < SIZE; i++)
		fixture->model[i] = (unsigned char)next_random(fixture, 256);
	FILE *file = fopen(fixture->base, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(fixture->model, 1, SIZE, file), SIZE);
	assert_int_equal(fclose(file), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	nbdt_device_close(fixture->device);
	unlink(fixture->base);
	unlink(fixture->overlay);
	rmdir(fixture->folder);
	free(fixture->model);
	free(fixture->buffer);
	free(fixture);
	return 0;
}

static struct nbdt_device *open_base(struct fixture *fixture)
{
	struct nbdt_device *base;

	assert_int_equal(nbdt_device_open_file(fixture->base, NULL, &base, NULL, NULL), 0);
	return base;
}

/* Read-only: to open a file for writing may count as a change. */
static void open_overlay(struct fixture *fixture, const char *path)
{
	const struct nbdt_file_options options = { .read_only = true };
	struct nbdt_device *base;
	struct nbdt_error err;

	assert_int_equal(nbdt_device_open_file(fixture->base, &options, &base, NULL, NULL), 0);
	if (nbdt_device_open_overlay(base, path, &fixture->device, &err))
		fail_msg("%s", err.text);
}

static int run(struct fixture *fixture,
	int (*operate)(struct nbdt_device *device, struct nbdt_request *request), uint64_t offset,
	uint64_t length, unsigned int flags)
{
	struct nbdt_request request = {
		.offset = offset,
		.length = length,
		.buffer = fixture->buffer,
		.flags = flags,
	};

	return operate(fixture->device, &request);
}

/* What is trimmed may read as anything. */
static void trim_at_random(struct fixture *fixture)
{
	unsigned int offset = next_random(fixture, SIZE);
	unsigned int length = next_random(fixture, SIZE - offset) + 1;

	assert_int_equal(run(fixture, fixture->device->ops->trim, offset, length, 0), 0);
	assert_int_equal(run(fixture, fixture->device->ops->pread, offset, length, 0), 0);
	memcpy(fixture->model + offset, fixture->buffer, length);
}

static void check_all(struct fixture *fixture)
{
	assert_int_equal(run(fixture, fixture->device->ops->pread, 0, SIZE, 0), 0);
	assert_memory_equal(fixture->buffer, fixture->model, SIZE);
}

static void check_base_is_untouched(struct fixture *fixture)
{
	FILE *file = fopen(fixture->base, "r");

	assert_non_null(file);
	assert_int_equal(fread(fixture->buffer, 1, SIZE + 1, file), SIZE);
	fclose(file);
	fixture->random = 42;
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(fixture->buffer[i], next_random(fixture, 256));
}

static void change_at_random(struct fixture *fixture)
{
	const struct nbdt_device_ops *ops = fixture->device->ops;
	unsigned int offset = next_random(fixture, SIZE);
	unsigned int length = next_random(fixture, SIZE - offset) + 1;
	unsigned int flags = next_random(fixture, 8) & (NBDT_REQUEST_FUA | NBDT_REQUEST_NO_HOLE);

	if (next_random(fixture, 2))
		length = length % 5000 + 1 < SIZE - offset ? length % 5000 + 1 : length;
	if (next_random(fixture, 3)) {
		memset(fixture->buffer, (int)next_random(fixture, 255) + 1, length);
		assert_int_equal(run(fixture, ops->pwrite, offset, length, flags), 0);
		memcpy(fixture->model + offset, fixture->buffer, length);
	} else {
		assert_int_equal(run(fixture, ops->zero, offset, length, flags), 0);
		memset(fixture->model + offset, 0, length);
	}
}

static void overlay_holds_what_is_written_and_spares_its_base(void **state)
{
	struct fixture *fixture = *state;

	open_overlay(fixture, NULL);
	for (int i = 0; i < 300; i++)
		change_at_random(fixture);
	check_all(fixture);
	check_base_is_untouched(fixture);
}

static void overlay_in_a_file_lasts(void **state)
{
	struct fixture *fixture = *state;

	for (int round = 0; round < 5; round++) {
		open_overlay(fixture, fixture->overlay);
		check_all(fixture);
		for (int i = 0; i < 20; i++)
			change_at_random(fixture);
		check_all(fixture);
		nbdt_device_close(fixture->device);
		fixture->device = NULL;
	}
	check_base_is_untouched(fixture);
}

static void overlay_is_sparse(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	open_overlay(fixture, fixture->overlay);
	memset(fixture->buffer, 1, 512);
	assert_int_equal(run(fixture, fixture->device->ops->pwrite, 9 * 65536, 512, 0), 0);
	assert_int_equal(run(fixture, fixture->device->ops->flush, 0, 0, 0), 0);
	assert_int_equal(stat(fixture->overlay, &status), 0);
	assert_true(status.st_blocks * 512 <= 128 * 1024);
}

static void overlay_waits_for_nothing_that_it_has_in_memory(void **state)
{
	struct fixture *fixture = *state;
	const unsigned int nowait = NBDT_REQUEST_NOWAIT;

	open_overlay(fixture, NULL);
	const struct nbdt_device_ops *ops = fixture->device->ops;
	memset(fixture->buffer, 1, 512);
	/* The rest of the cluster has to come from the base. */
	assert_int_equal(run(fixture, ops->pwrite, 65536, 512, nowait), -EAGAIN);
	assert_int_equal(run(fixture, ops->pwrite, 65536, 512, 0), 0);
	assert_int_equal(run(fixture, ops->pwrite, 65536 + 1024, 512, nowait), 0);
	memset(fixture->buffer, 2, 512);
	assert_int_equal(run(fixture, ops->pread, 65536 + 1024, 512, nowait), 0);
	assert_int_equal(fixture->buffer[511], 1);
	assert_int_equal(run(fixture, ops->pwrite, 2 * 65536 - 256, 512, nowait), -EAGAIN);
	assert_int_equal(
		run(fixture, ops->pwrite, 65536, 512, nowait | NBDT_REQUEST_FUA), -EAGAIN);
}

static void overlay_gives_space_back_and_reads_zeroes_after_trim(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	open_overlay(fixture, fixture->overlay);
	memset(fixture->buffer, 1, 8 * 65536);
	assert_int_equal(run(fixture, fixture->device->ops->pwrite, 0, 8 * 65536, 0), 0);
	assert_int_equal(run(fixture, fixture->device->ops->trim, 0, 8 * 65536, 0), 0);
	assert_int_equal(run(fixture, fixture->device->ops->flush, 0, 0, 0), 0);
	memset(fixture->model, 0, 8 * 65536);
	check_all(fixture);
	assert_int_equal(stat(fixture->overlay, &status), 0);
	assert_true(status.st_blocks * 512 <= 128 * 1024);
}

static void trim_of_a_part_loses_nothing_around_it(void **state)
{
	struct fixture *fixture = *state;

	open_overlay(fixture, NULL);
	assert_int_equal(run(fixture, fixture->device->ops->trim, 100, 200, 0), 0);
	check_all(fixture);
}

static void overlay_of_another_size_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_error err;

	open_overlay(fixture, fixture->overlay);
	nbdt_device_close(fixture->device);
	fixture->device = NULL;
	assert_int_equal(truncate(fixture->base, SIZE - 512), 0);
	struct nbdt_device *base = open_base(fixture);
	assert_int_equal(nbdt_device_open_overlay(base, fixture->overlay, &fixture->device, &err),
		-ESTALE);
	assert_non_null(strstr(err.text, "is an overlay for 655872 bytes"));
	nbdt_device_close(base);
}

static void overlay_of_a_base_that_has_changed_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_error err;

	open_overlay(fixture, fixture->overlay);
	nbdt_device_close(fixture->device);
	fixture->device = NULL;
	/* Some filesystems count in steps of 10 ms. */
	usleep(20000);
	FILE *file = fopen(fixture->base, "r+");
	fputc('!', file);
	fclose(file);
	struct nbdt_device *base = open_base(fixture);
	assert_int_equal(nbdt_device_open_overlay(base, fixture->overlay, &fixture->device, &err),
		-ESTALE);
	assert_non_null(strstr(err.text, "before it was changed"));
	nbdt_device_close(base);
}

/* Of the same file, and as large as the other. */
static void overlay_of_another_part_is_refused(void **state)
{
	struct nbdt_file_options part = {
		.offset = 4096,
		.size_limit = 65536,
		.read_only = true,
	};
	struct fixture *fixture = *state;
	struct nbdt_device *base;
	struct nbdt_error err;

	assert_int_equal(nbdt_device_open_file(fixture->base, &part, &base, NULL, NULL), 0);
	assert_int_equal(
		nbdt_device_open_overlay(base, fixture->overlay, &fixture->device, NULL), 0);
	nbdt_device_close(fixture->device);
	part.offset = 8192;
	assert_int_equal(nbdt_device_open_file(fixture->base, &part, &base, NULL, NULL), 0);
	assert_int_equal(nbdt_device_open_overlay(base, fixture->overlay, &fixture->device, &err),
		-ESTALE);
	assert_non_null(strstr(err.text, "another part"));
	/* The right part, but by a window. */
	nbdt_device_close(base);
	part = (struct nbdt_file_options){ .read_only = true };
	assert_int_equal(nbdt_device_open_file(fixture->base, &part, &base, NULL, NULL), 0);
	assert_int_equal(nbdt_device_open_window(base, 4096, 65536, &base, NULL), 0);
	assert_int_equal(
		nbdt_device_open_overlay(base, fixture->overlay, &fixture->device, NULL), 0);
}

static void other_files_are_no_overlays(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_error err;
	struct stat status;

	struct nbdt_device *base = open_base(fixture);
	FILE *file = fopen(fixture->overlay, "w");
	assert_non_null(file);
	fputs("precious", file);
	fclose(file);
	assert_int_equal(nbdt_device_open_overlay(base, fixture->overlay, &fixture->device, &err),
		-EINVAL);
	assert_int_equal(stat(fixture->overlay, &status), 0);
	assert_int_equal(status.st_size, 8);
	assert_int_equal(
		nbdt_device_open_overlay(base, fixture->folder, &fixture->device, &err), -EISDIR);
	nbdt_device_close(base);
}

static void overlay_has_one_user(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_device *second;
	struct nbdt_error err;

	open_overlay(fixture, fixture->overlay);
	struct nbdt_device *base = open_base(fixture);
	assert_int_equal(nbdt_device_open_overlay(base, fixture->overlay, &second, &err), -EBUSY);
	nbdt_device_close(base);
}

/* Makes holes of 4 KiB and more in the base, and in the model. */
static void make_base_sparse(struct fixture *fixture)
{
	int fd = open(fixture->base, O_RDWR);

	assert_true(fd >= 0);
	for (int i = 0; i < 20; i++) {
		unsigned int offset = next_random(fixture, SIZE / 4096) * 4096;
		unsigned int length = (next_random(fixture, 20) + 1) * 4096;

		length = length < SIZE - offset ? length : SIZE - offset;
		assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
			length), 0);
		memset(fixture->model + offset, 0, length);
	}
	close(fd);
}

/*
 * Asks for the extents of a range of the device that begins at START of the model: what is called
 * zeroes, is. Returns how much was, in bytes.
 */
static uint64_t check_extents(struct fixture *fixture, unsigned int start, uint64_t offset,
	uint64_t length, unsigned int flags)
{
	static const unsigned char zeroes[SIZE];
	struct nbdt_extent extents[7];
	uint64_t end = offset + length;
	uint64_t holes = 0;

	while (offset < end) {
		size_t count = 7;

		assert_int_equal(fixture->device->ops->extents(fixture->device, offset,
			end - offset, flags, extents, &count), 0);
		assert_in_range(count, 1, 7);
		for (size_t i = 0; i < count; i++) {
			assert_in_range(extents[i].length, 1, end - offset);
			assert_true(!i || extents[i].flags != extents[i - 1].flags);
			if (extents[i].flags & NBDT_EXTENT_ZERO) {
				assert_memory_equal(fixture->model + start + offset, zeroes,
					extents[i].length);
				holes += extents[i].length;
			}
			offset += extents[i].length;
		}
	}
	return holes;
}

/* How many of the first LENGTH bytes are holes. */
static uint64_t ask_holes(struct fixture *fixture, uint64_t length)
{
	uint64_t offset = 0, holes = 0;

	while (offset < length) {
		struct nbdt_extent extent;
		size_t count = 1;

		assert_int_equal(fixture->device->ops->extents(fixture->device, offset,
			length - offset, 0, &extent, &count), 0);
		offset += extent.length;
		holes += extent.flags ? extent.length : 0;
	}
	return holes;
}

static void overlay_calls_nothing_a_hole_that_is_none(void **state)
{
	struct fixture *fixture = *state;

	make_base_sparse(fixture);
	open_overlay(fixture, NULL);
	for (int i = 0; i < 200; i++) {
		unsigned int offset = next_random(fixture, SIZE);

		if (next_random(fixture, 3))
			change_at_random(fixture);
		else
			trim_at_random(fixture);
		check_all(fixture);
		check_extents(fixture, 0, offset, next_random(fixture, SIZE - offset) + 1, 0);
		check_extents(fixture, 0, 0, SIZE, NBDT_EXTENTS_ROUGHLY);
	}
}

/* Over some hundred clusters, those of one word of the bitmap and beyond. */
static void overlay_zeroes_and_trims_many_clusters_at_once(void **state)
{
	const uint64_t size = UINT64_C(300) * 65536;
	struct fixture *fixture = *state;

	assert_int_equal(truncate(fixture->base, (off_t)size + 512), 0);
	open_overlay(fixture, NULL);
	assert_in_range(ask_holes(fixture, size + 512), size - 11 * 65536, size + 512 - SIZE);
	assert_int_equal(run(fixture, fixture->device->ops->pwrite, 65536, 512, 0), 0);
	assert_int_equal(run(fixture, fixture->device->ops->zero, 65000, size - 65000, 0), 0);
	memset(fixture->model + 65000, 0, SIZE - 65000);
	check_all(fixture);
	assert_int_equal(ask_holes(fixture, size + 512), size + 512 - 65536);
	memset(fixture->buffer, 1, 512);
	assert_int_equal(run(fixture, fixture->device->ops->pwrite, 200 * 65536, 512, 0), 0);
	assert_true(ask_holes(fixture, size + 512) < size + 512 - 65536);
	assert_int_equal(run(fixture, fixture->device->ops->trim, 65536, size + 512 - 65536, 0), 0);
	check_all(fixture);
	assert_int_equal(ask_holes(fixture, size + 512), size + 512 - 65536);
}

static void overlay_bounds_its_search_for_holes(void **state)
{
	const uint64_t size = UINT64_C(20000) * 65536;
	struct fixture *fixture = *state;
	struct nbdt_extent extents[2];
	size_t count = 2;

	assert_int_equal(truncate(fixture->base, 0), 0);
	assert_int_equal(truncate(fixture->base, (off_t)size), 0);
	open_overlay(fixture, NULL);
	for (uint64_t at = 0; at < size; at += 2 * 65536)
		assert_int_equal(run(fixture, fixture->device->ops->zero, at, 65536, 0), 0);
	assert_int_equal(fixture->device->ops->extents(
		fixture->device, 0, size, 0, extents, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(extents[0].length, 4096 * 65536);
	assert_int_equal(ask_holes(fixture, size), size);
}

static void overlay_zeroes_without_a_hole_if_asked(void **state)
{
	struct fixture *fixture = *state;

	open_overlay(fixture, NULL);
	assert_int_equal(run(fixture, fixture->device->ops->zero, 65536, 3 * 65536,
		NBDT_REQUEST_NO_HOLE), 0);
	memset(fixture->model + 65536, 0, 3 * 65536);
	check_all(fixture);
	assert_int_equal(ask_holes(fixture, SIZE), 0);
}

static void overlay_shows_holes_of_its_own_and_of_its_base(void **state)
{
	struct fixture *fixture = *state;
	int fd = open(fixture->base, O_RDWR);

	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 131072);
	close(fd);
	memset(fixture->model + 65536, 0, 131072);
	open_overlay(fixture, NULL);
	assert_int_equal(check_extents(fixture, 0, 0, SIZE, 0), 131072);
	memset(fixture->buffer, 1, 65536);
	assert_int_equal(run(fixture, fixture->device->ops->pwrite, 65536, 65536, 0), 0);
	memset(fixture->model + 65536, 1, 65536);
	assert_int_equal(check_extents(fixture, 0, 0, SIZE, 0), 65536);
	assert_int_equal(run(fixture, fixture->device->ops->trim, 4 * 65536, 65536, 0), 0);
	memset(fixture->model + 4 * 65536, 0, 65536);
	assert_int_equal(check_extents(fixture, 0, 0, SIZE, 0), 131072);
}

static void window_shows_the_holes_of_its_part(void **state)
{
	struct fixture *fixture = *state;

	make_base_sparse(fixture);
	assert_int_equal(nbdt_device_open_window(open_base(fixture), 8192, 262144,
		&fixture->device, NULL), 0);
	assert_true(check_extents(fixture, 8192, 0, 262144, 0) > 0);
	assert_true(check_extents(fixture, 8192, 1000, 200000, 0) > 0);
}

static void window_shows_its_part(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(nbdt_device_open_window(open_base(fixture), 1024, 4096, &fixture->device,
		NULL), 0);
	assert_int_equal(nbdt_device_size(fixture->device), 4096);
	assert_int_equal(run(fixture, fixture->device->ops->pread, 100, 3996, 0), 0);
	assert_memory_equal(fixture->buffer, fixture->model + 1124, 3996);
	memset(fixture->buffer, 7, 512);
	assert_int_equal(run(fixture, fixture->device->ops->pwrite, 512, 512, 0), 0);
	nbdt_device_close(fixture->device);
	fixture->device = open_base(fixture);
	memset(fixture->model + 1536, 7, 512);
	check_all(fixture);
}

static void window_keeps_its_offset_for_another_try(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_request request = { .flags = NBDT_REQUEST_NOWAIT };

	assert_int_equal(nbdt_device_open_window(open_base(fixture), 1024, 4096, &fixture->device,
		NULL), 0);
	fixture->device->ops->flush(fixture->device, &request);
	request.length = 512;
	request.offset = 512;
	assert_int_equal(fixture->device->ops->zero(fixture->device, &request), -EAGAIN);
	assert_int_equal(request.offset, 512);
}

static void window_must_lie_within(void **state)
{
	static const struct { uint64_t offset, size; } bad[] = {
		{ SIZE, 0 }, { 0, SIZE + 1 }, { 512, SIZE }, { UINT64_MAX, 1 }, { 1, UINT64_MAX },
	};
	struct fixture *fixture = *state;
	struct nbdt_device *base = open_base(fixture);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nbdt_device_open_window(base, bad[i].offset, bad[i].size,
			&fixture->device, NULL), -ENODATA);
	fixture->device = base;
}

static void window_grows_with_what_lies_under_it(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(
		nbdt_device_open_window(open_base(fixture), 512, 0, &fixture->device, NULL), 0);
	assert_int_equal(truncate(fixture->base, 2 * SIZE), 0);
	assert_int_equal(fixture->device->ops->resize(fixture->device, NULL), 0);
	assert_int_equal(nbdt_device_size(fixture->device), 2 * SIZE - 512);
}

static void layers_stack(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_device *window;

	assert_int_equal(
		nbdt_device_open_window(open_base(fixture), 65536, 131072, &window, NULL), 0);
	assert_int_equal(nbdt_device_open_overlay(window, NULL, &fixture->device, NULL), 0);
	memset(fixture->buffer, 3, 100);
	assert_int_equal(run(fixture, fixture->device->ops->pwrite, 65500, 100, 0), 0);
	memset(fixture->model + 65536 + 65500, 3, 100);
	assert_int_equal(run(fixture, fixture->device->ops->pread, 0, 131072, 0), 0);
	assert_memory_equal(fixture->buffer, fixture->model + 65536, 131072);
	check_base_is_untouched(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(overlay_holds_what_is_written_and_spares_its_base),
		TEST(overlay_in_a_file_lasts),
		TEST(overlay_is_sparse),
		TEST(overlay_waits_for_nothing_that_it_has_in_memory),
		TEST(overlay_gives_space_back_and_reads_zeroes_after_trim),
		TEST(trim_of_a_part_loses_nothing_around_it),
		TEST(overlay_of_another_size_is_refused),
		TEST(overlay_of_a_base_that_has_changed_is_refused),
		TEST(overlay_of_another_part_is_refused),
		TEST(other_files_are_no_overlays),
		TEST(overlay_has_one_user),
		TEST(overlay_calls_nothing_a_hole_that_is_none),
		TEST(overlay_zeroes_and_trims_many_clusters_at_once),
		TEST(overlay_bounds_its_search_for_holes),
		TEST(overlay_zeroes_without_a_hole_if_asked),
		TEST(overlay_shows_holes_of_its_own_and_of_its_base),
		TEST(window_shows_the_holes_of_its_part),
		TEST(window_shows_its_part),
		TEST(window_keeps_its_offset_for_another_try),
		TEST(window_must_lie_within),
		TEST(window_grows_with_what_lies_under_it),
		TEST(layers_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
