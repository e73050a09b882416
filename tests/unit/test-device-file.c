/* SPDX-License-Identifier: Apache-2.0 */
/* Files as devices. */
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbd-protocol.h"
#include "nbdtools.h"

#define SIZE (1024 * 1024)

struct fixture {
	char folder[32];
	char path[64];
	unsigned char *buffer; /* SIZE bytes, aligned */
	struct nbdt_device *device;
};

static int set_up_in(void **state, const char *where)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	snprintf(fixture->folder, sizeof(fixture->folder), "%s/nbdt-file-XXXXXX", where);
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->path, sizeof(fixture->path), "%s/disk.img", fixture->folder);
	assert_int_equal(posix_memalign((void **)&fixture->buffer, 4096, SIZE), 0);
	*state = fixture;
	return 0;
}

static int set_up(void **state)
{
	return set_up_in(state, "/tmp");
}

/* Zeroing goes other ways on tmpfs, which has no FALLOC_FL_ZERO_RANGE. */
static int set_up_on_tmpfs(void **state)
{
	return set_up_in(state, "/dev/shm");
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	nbdt_device_close(fixture->device);
	unlink(fixture->path);
	rmdir(fixture->folder);
	free(fixture->buffer);
	free(fixture);
	return 0;
}

/* An image full of 'a', of SIZE bytes. */
static void make_image(struct fixture *fixture, size_t size)
{
	int fd = open(fixture->path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	memset(fixture->buffer, 'a', SIZE);
	assert_int_equal(write(fd, fixture->buffer, size), size);
	close(fd);
}

static void open_image(struct fixture *fixture, const struct nbdt_file_options *options,
	struct nbdt_file_facts *facts)
{
	assert_int_equal(
		nbdt_device_open_file(fixture->path, options, &fixture->device, facts, NULL), 0);
}

static off_t file_size(const struct fixture *fixture)
{
	struct stat stat_buffer;

	assert_int_equal(stat(fixture->path, &stat_buffer), 0);
	return stat_buffer.st_size;
}

enum operation {
	READ,
	WRITE,
	FLUSH,
	TRIM,
	ZERO,
	CACHE,
};

static int run(struct fixture *fixture, enum operation operation, unsigned int flags,
	uint64_t offset, uint64_t length)
{
	const struct nbdt_device_ops *ops = fixture->device->ops;
	struct nbdt_request request = {
		.offset = offset,
		.length = length,
		.buffer = operation <= WRITE ? fixture->buffer : NULL,
		.flags = flags,
	};

	switch (operation) {
	case READ:
		return ops->pread(fixture->device, &request);
	case WRITE:
		return ops->pwrite(fixture->device, &request);
	case FLUSH:
		return ops->flush(fixture->device, &request);
	case TRIM:
		return ops->trim(fixture->device, &request);
	case ZERO:
		return ops->zero(fixture->device, &request);
	default:
		return ops->cache(fixture->device, &request);
	}
}

static bool all_bytes_are(struct fixture *fixture, uint64_t offset, size_t length, int byte)
{
	assert_int_equal(run(fixture, READ, 0, offset, length), 0);
	for (size_t i = 0; i < length; i++) {
		if (fixture->buffer[i] != byte)
			return false;
	}
	return true;
}

static void written_bytes_read_back(void **state)
{
	struct fixture *fixture = *state;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	memset(fixture->buffer, 'b', 5000);
	assert_int_equal(run(fixture, WRITE, 0, 1001, 5000), 0);
	assert_int_equal(run(fixture, FLUSH, 0, 0, 0), 0);
	assert_int_equal(run(fixture, CACHE, 0, 0, SIZE), 0);
	assert_true(all_bytes_are(fixture, 1001, 5000, 'b'));
	assert_true(all_bytes_are(fixture, 0, 1001, 'a'));
	assert_true(all_bytes_are(fixture, 6001, SIZE - 6001, 'a'));
}

static void fua_write_works(void **state)
{
	struct fixture *fixture = *state;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	assert_true(fixture->device->can_fua);
	memset(fixture->buffer, 'b', 4096);
	assert_int_equal(run(fixture, WRITE, NBDT_REQUEST_FUA, 0, 4096), 0);
	assert_int_equal(run(fixture, TRIM, NBDT_REQUEST_FUA, 8192, 4096), 0);
	assert_int_equal(run(fixture, ZERO, NBDT_REQUEST_FUA, 16384, 4096), 0);
	assert_true(all_bytes_are(fixture, 0, 4096, 'b'));
	assert_true(all_bytes_are(fixture, 16384, 4096, 0));
}

static void zeroed_range_reads_as_zeroes_and_nothing_else(void **state)
{
	static const unsigned int flags[] = { 0, NBDT_REQUEST_NO_HOLE, NBDT_REQUEST_FUA };
	static const uint64_t ranges[][2] = { { 0, 4096 }, { 1000, 3 }, { 4000, 9000 },
		{ 100, 900000 }, { SIZE - 5000, 5000 } };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < 15; i++) {
		uint64_t offset = ranges[i % 5][0];
		uint64_t length = ranges[i % 5][1];

		make_image(fixture, SIZE);
		open_image(fixture, NULL, NULL);
		assert_int_equal(run(fixture, ZERO, flags[i / 5], offset, length), 0);
		assert_true(all_bytes_are(fixture, offset, length, 0));
		assert_true(all_bytes_are(fixture, 0, offset, 'a'));
		assert_true(all_bytes_are(
			fixture, offset + length, SIZE - offset - length, 'a'));
		assert_int_equal(file_size(fixture), SIZE);
		nbdt_device_close(fixture->device);
		fixture->device = NULL;
	}
}

static void trim_and_zero_keep_the_size_of_a_truncated_file(void **state)
{
	static const unsigned int flags[] = { 0, NBDT_REQUEST_NO_HOLE };
	struct fixture *fixture = *state;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	assert_int_equal(truncate(fixture->path, 4096), 0);
	run(fixture, TRIM, 0, 0, SIZE);
	for (int i = 0; i < 2; i++)
		run(fixture, ZERO, flags[i], 0, SIZE);
	assert_int_equal(file_size(fixture), 4096);
}

static void no_hole_leaves_the_space_allocated(void **state)
{
	struct fixture *fixture = *state;
	struct stat before, after;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	assert_int_equal(run(fixture, FLUSH, 0, 0, 0), 0);
	assert_int_equal(stat(fixture->path, &before), 0);
	assert_int_equal(run(fixture, ZERO, NBDT_REQUEST_NO_HOLE, 0, SIZE), 0);
	assert_int_equal(stat(fixture->path, &after), 0);
	assert_true(after.st_blocks >= before.st_blocks);
}

static void trim_frees_space(void **state)
{
	struct fixture *fixture = *state;
	struct stat after;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	if (!(nbdt_device_flags(fixture->device) & NBD_FLAG_SEND_TRIM))
		skip();
	assert_int_equal(run(fixture, FLUSH, 0, 0, 0), 0);
	assert_int_equal(run(fixture, TRIM, 0, 0, SIZE), 0);
	assert_int_equal(stat(fixture->path, &after), 0);
	assert_true(after.st_blocks * 512 < SIZE / 2);
}

static void opening_does_not_change_the_file(void **state)
{
	struct fixture *fixture = *state;
	struct stat before, after;

	make_image(fixture, SIZE);
	assert_int_equal(stat(fixture->path, &before), 0);
	open_image(fixture, NULL, NULL);
	assert_int_equal(stat(fixture->path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_true(all_bytes_are(fixture, 0, SIZE, 'a'));
}

static void ignored_trim_is_not_offered_and_zeroes_stay_allocated(void **state)
{
	const struct nbdt_file_options options = { .ignore_trim = true };
	struct fixture *fixture = *state;
	struct stat after;

	make_image(fixture, SIZE);
	open_image(fixture, &options, NULL);
	uint16_t flags = nbdt_device_flags(fixture->device);
	assert_false(flags & NBD_FLAG_SEND_TRIM);
	assert_false(flags & NBD_FLAG_SEND_FAST_ZERO);
	assert_true(flags & NBD_FLAG_SEND_WRITE_ZEROES);
	assert_int_equal(run(fixture, FLUSH, 0, 0, 0), 0);
	assert_int_equal(run(fixture, ZERO, 0, 0, SIZE), 0);
	assert_int_equal(stat(fixture->path, &after), 0);
	assert_true(after.st_blocks * 512 >= SIZE);
}

static void truncation_fails_reads_of_the_lost_range_alone(void **state)
{
	struct fixture *fixture = *state;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	assert_int_equal(truncate(fixture->path, 10000), 0);
	assert_int_equal(run(fixture, READ, 0, 9000, 4096), -EIO);
	assert_int_equal(run(fixture, READ, 0, SIZE - 512, 512), -EIO);
	assert_true(all_bytes_are(fixture, 0, 10000, 'a'));
}

static void nowait_never_gives_wrong_data(void **state)
{
	const unsigned int flags = NBDT_REQUEST_NOWAIT;
	struct fixture *fixture = *state;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	memset(fixture->buffer, 0, SIZE);
	int result = run(fixture, READ, flags, 0, SIZE);
	assert_true(result == 0 || result == -EAGAIN);
	if (result == 0)
		assert_int_equal(fixture->buffer[SIZE - 1], 'a');
	assert_int_equal(run(fixture, WRITE, flags, 0, 4096), 0);
	assert_int_equal(run(fixture, WRITE, flags | NBDT_REQUEST_FUA, 0, 4096), -EAGAIN);
	assert_int_equal(run(fixture, FLUSH, flags, 0, 0), -EAGAIN);
	assert_int_equal(run(fixture, TRIM, flags, 0, 512), -EAGAIN);
	assert_int_equal(run(fixture, ZERO, flags, 0, 512), -EAGAIN);
}

static void window_offers_its_part_alone(void **state)
{
	const struct nbdt_file_options options = { .offset = 4097, .size_limit = 8192 };
	struct fixture *fixture = *state;
	struct nbdt_direct direct;

	make_image(fixture, SIZE);
	open_image(fixture, &options, NULL);
	assert_int_equal(nbdt_device_size(fixture->device), 8192);
	memset(fixture->buffer, 'w', 8192);
	assert_int_equal(run(fixture, WRITE, 0, 0, 8192), 0);
	assert_true(all_bytes_are(fixture, 0, 8192, 'w'));
	assert_int_equal(
		fixture->device->ops->direct(fixture->device, 10, 5, &direct), 0);
	assert_int_equal(direct.offset, 4107);
	nbdt_device_close(fixture->device);
	open_image(fixture, NULL, NULL);
	assert_true(all_bytes_are(fixture, 0, 4097, 'a'));
	assert_true(all_bytes_are(fixture, 4097, 8192, 'w'));
	assert_true(all_bytes_are(fixture, 4097 + 8192, 1000, 'a'));
}

static void size_is_rounded_down_to_blocks(void **state)
{
	struct nbdt_file_options options = { 0 };
	struct fixture *fixture = *state;
	struct nbdt_file_facts facts;

	make_image(fixture, 10000);
	open_image(fixture, NULL, &facts);
	assert_int_equal(nbdt_device_size(fixture->device), 9728);
	assert_int_equal(facts.lost_bytes, 272);
	nbdt_device_close(fixture->device);
	options.block_size = 4096;
	open_image(fixture, &options, &facts);
	assert_int_equal(nbdt_device_size(fixture->device), 8192);
	assert_int_equal(facts.lost_bytes, 1808);
	nbdt_device_close(fixture->device);
	options.block_size = 1;
	open_image(fixture, &options, &facts);
	assert_int_equal(nbdt_device_size(fixture->device), 10000);
	assert_int_equal(facts.lost_bytes, 0);
}

static void resize_takes_over_the_new_size(void **state)
{
	struct fixture *fixture = *state;

	make_image(fixture, 8192);
	open_image(fixture, NULL, NULL);
	assert_int_equal(truncate(fixture->path, 20000), 0);
	assert_int_equal(nbdt_device_size(fixture->device), 8192);
	assert_int_equal(fixture->device->ops->resize(fixture->device, NULL), 0);
	assert_int_equal(nbdt_device_size(fixture->device), 19968);
	assert_int_equal(truncate(fixture->path, 0), 0);
	assert_int_equal(fixture->device->ops->resize(fixture->device, NULL), -ENODATA);
	assert_int_equal(nbdt_device_size(fixture->device), 19968);
}

static void read_only_device_announces_no_writing(void **state)
{
	const struct nbdt_file_options options = { .read_only = true };
	struct fixture *fixture = *state;
	struct nbdt_file_facts facts;

	make_image(fixture, SIZE);
	open_image(fixture, &options, &facts);
	uint16_t flags = nbdt_device_flags(fixture->device);
	assert_true(flags & NBD_FLAG_READ_ONLY);
	assert_false(flags & (NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |
		NBD_FLAG_SEND_FAST_ZERO));
	assert_true(facts.read_only);
	assert_false(facts.forced_read_only);
}

/* In a child without privileges, which may read the file but not write it. */
static int open_unprivileged(const char *path)
{
	struct nbdt_file_facts facts;
	struct nbdt_device *device;

	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 2;
	if (nbdt_device_open_file(path, NULL, &device, &facts, NULL))
		return 3;
	bool good = facts.forced_read_only && facts.read_only && device->read_only;
	nbdt_device_close(device);
	return good ? 0 : 4;
}

static void file_that_can_only_be_read_becomes_read_only(void **state)
{
	struct fixture *fixture = *state;
	int status;

	make_image(fixture, SIZE);
	assert_int_equal(chmod(fixture->path, 0444), 0);
	assert_int_equal(chmod(fixture->folder, 0755), 0);
	pid_t child = fork();
	if (child == 0)
		_exit(open_unprivileged(fixture->path));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void facts_name_the_file(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_file_facts facts;
	struct stat stat_buffer;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, &facts);
	assert_int_equal(stat(fixture->path, &stat_buffer), 0);
	assert_int_equal(facts.dev, stat_buffer.st_dev);
	assert_int_equal(facts.ino, stat_buffer.st_ino);
	assert_false(facts.block_device);
	assert_false(facts.read_only);
}

static int try_to_open(const char *path, const struct nbdt_file_options *options)
{
	struct nbdt_device *device;
	struct nbdt_error err = { 0 };

	int result = nbdt_device_open_file(path, options, &device, NULL, &err);
	assert_int_equal(err.code, result);
	assert_true(strlen(err.text) > 0);
	return result;
}

static void what_cannot_be_a_device_is_refused_without_waiting(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(try_to_open(fixture->path, NULL), -ENOENT);
	assert_int_equal(try_to_open(fixture->folder, NULL), -EISDIR);
	assert_int_equal(try_to_open("/dev/zero", NULL), -ENOTBLK);
	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	assert_int_equal(try_to_open(fixture->path, NULL), -ENOTBLK);
}

static void nothing_to_serve_is_refused(void **state)
{
	const struct nbdt_file_options behind = { .offset = SIZE };
	const struct nbdt_file_options odd = { .block_size = 1000 };
	const struct nbdt_file_options far = { .offset = UINT64_MAX };
	struct fixture *fixture = *state;

	make_image(fixture, 0);
	assert_int_equal(try_to_open(fixture->path, NULL), -ENODATA);
	make_image(fixture, 511);
	assert_int_equal(try_to_open(fixture->path, NULL), -ENODATA);
	make_image(fixture, SIZE);
	assert_int_equal(try_to_open(fixture->path, &behind), -ENODATA);
	assert_int_equal(try_to_open(fixture->path, &odd), -EINVAL);
	assert_int_equal(try_to_open(fixture->path, &far), -EINVAL);
}

static void direct_io_serves_aligned_and_unaligned_requests(void **state)
{
	const struct nbdt_file_options options = { .direct_io = true };
	struct fixture *fixture = *state;

	make_image(fixture, SIZE);
	if (nbdt_device_open_file(fixture->path, &options, &fixture->device, NULL, NULL) == -EINVAL)
		skip();
	uint32_t minimum = fixture->device->block_minimum;
	assert_in_range(minimum, 2, 65536);
	assert_int_equal(minimum & (minimum - 1), 0);
	memset(fixture->buffer, 'd', 8192);
	assert_int_equal(run(fixture, WRITE, 0, 8192, 8192), 0);
	memset(fixture->buffer, 'e', 8192);
	assert_int_equal(run(fixture, WRITE, NBDT_REQUEST_FUA, 17000, 1001), 0);
	assert_true(all_bytes_are(fixture, 8192, 8192, 'd'));
	assert_true(all_bytes_are(fixture, 17000, 1001, 'e'));
	assert_true(all_bytes_are(fixture, 0, 8192, 'a'));
	assert_int_equal(run(fixture, ZERO, 0, 0, 4096), 0);
	assert_true(all_bytes_are(fixture, 0, 4096, 0));
}

static void limits_fit_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	make_image(fixture, SIZE);
	open_image(fixture, NULL, NULL);
	assert_int_equal(fixture->device->block_minimum, 1);
	assert_in_range(fixture->device->block_preferred, 4096, 65536);
	assert_int_equal(fixture->device->block_maximum, NBDT_MAX_PAYLOAD);
	assert_true(nbdt_device_flags(fixture->device) & NBD_FLAG_HAS_FLAGS);
	assert_false(nbdt_device_flags(fixture->device) & NBD_FLAG_SEND_DF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TMPFS_TEST(name) { #name "_on_tmpfs", name, set_up_on_tmpfs, tear_down, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_bytes_read_back),
		TEST(fua_write_works),
		TEST(zeroed_range_reads_as_zeroes_and_nothing_else),
		TEST(trim_and_zero_keep_the_size_of_a_truncated_file),
		TEST(no_hole_leaves_the_space_allocated),
		TEST(trim_frees_space),
		TEST(opening_does_not_change_the_file),
		TEST(ignored_trim_is_not_offered_and_zeroes_stay_allocated),
		TEST(truncation_fails_reads_of_the_lost_range_alone),
		TEST(nowait_never_gives_wrong_data),
		TEST(window_offers_its_part_alone),
		TEST(size_is_rounded_down_to_blocks),
		TEST(resize_takes_over_the_new_size),
		TEST(read_only_device_announces_no_writing),
		TEST(file_that_can_only_be_read_becomes_read_only),
		TEST(facts_name_the_file),
		TEST(what_cannot_be_a_device_is_refused_without_waiting),
		TEST(nothing_to_serve_is_refused),
		TEST(direct_io_serves_aligned_and_unaligned_requests),
		TEST(limits_fit_the_protocol),
		TMPFS_TEST(zeroed_range_reads_as_zeroes_and_nothing_else),
		TMPFS_TEST(trim_and_zero_keep_the_size_of_a_truncated_file),
		TMPFS_TEST(trim_frees_space),
		TMPFS_TEST(nowait_never_gives_wrong_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
