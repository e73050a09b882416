/* SPDX-License-Identifier: Apache-2.0 */
/* The server's transmission phase, rules 26 to 42 of the protocol and clients that break them. */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "scripted-client.h"
#include "wire.h"

#define KIB 1024u
#define MIB (1024u * 1024)

struct fixture {
	struct memory_device memory;
	struct session session;
	int fd;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	memory_device_init(&fixture->memory, MEMORY_SIZE);
	session_start(&fixture->session, &fixture->memory.device);
	fixture->fd = fixture->session.fd;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	session_end(&fixture->session);
	memory_device_destroy(&fixture->memory);
	free(fixture);
	return 0;
}

/*
 * Ends the session, so that a test may change what the device can do before it begins another
 * one.
 */
static struct memory_device *disconnect(struct fixture *fixture)
{
	session_join(&fixture->session);
	return &fixture->memory;
}

static void reconnect(struct fixture *fixture)
{
	session_end(&fixture->session);
	session_start(&fixture->session, &fixture->memory.device);
	fixture->fd = fixture->session.fd;
}

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

/* Waits until the server has taken all that was sent. */
static void await_reception(int fd)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	int unread = 1;

	while (unread) {
		nanosleep(&pause, NULL);
		assert_int_equal(ioctl(fd, SIOCOUTQ, &unread), 0);
	}
}

static void fill(unsigned char *data, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

static uint32_t write_data(
	int fd, uint16_t flags, uint64_t offset, const void *data, uint32_t length)
{
	send_request(fd, flags, NBD_CMD_WRITE, 77, offset, length);
	send_bytes(fd, data, length);
	return receive_reply(fd, 77, NULL, 0);
}

static uint32_t read_data(int fd, uint64_t offset, void *data, uint32_t length)
{
	send_request(fd, 0, NBD_CMD_READ, 78, offset, length);
	return receive_reply(fd, 78, data, length);
}

static void written_data_reads_back(void **state)
{
	static const uint32_t lengths[] = { 1, 511, 4096, 4097, 100000, 262144, MEMORY_SIZE };
	struct fixture *fixture = *state;
	unsigned char *written = malloc(MEMORY_SIZE), *read = malloc(MEMORY_SIZE);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t offset = MEMORY_SIZE - lengths[i];

		fill(written, lengths[i], (unsigned int)i);
		assert_int_equal(write_data(fixture->fd, 0, offset, written, lengths[i]), 0);
		assert_int_equal(read_data(fixture->fd, offset, read, lengths[i]), 0);
		assert_memory_equal(written, read, lengths[i]);
		assert_memory_equal(fixture->memory.bytes + offset, written, lengths[i]);
	}
	free(written);
	free(read);
}

static void device_gets_aligned_buffers(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *data = calloc(1, MEMORY_SIZE);

	for (uint32_t length = 1; length <= MEMORY_SIZE; length = length * 3 + 1) {
		assert_int_equal(write_data(fixture->fd, 0, 0, data, length), 0);
		assert_int_equal(read_data(fixture->fd, 0, data, length), 0);
	}
	assert_false(atomic_load(&fixture->memory.misaligned));
	free(data);
}

static void requests_may_come_byte_by_byte(void **state)
{
	struct fixture *fixture = *state;
	unsigned char message[28 + 5];

	wire_put32(message, NBD_REQUEST_MAGIC);
	wire_put32(message + 4, NBD_CMD_WRITE);
	wire_put64(message + 8, 5);
	wire_put64(message + 16, 100);
	wire_put32(message + 24, 5);
	memcpy(message + 28, "hello", 5);
	for (size_t i = 0; i < sizeof(message); i++) {
		send_bytes(fixture->fd, message + i, 1);
		await_reception(fixture->fd);
	}
	assert_int_equal(receive_reply(fixture->fd, 5, NULL, 0), 0);
	assert_memory_equal(fixture->memory.bytes + 100, "hello", 5);
}

/* Sends COUNT requests at offset 0 in one go, their cookies counted from 0. */
static void send_batch(int fd, uint16_t type, uint32_t length, size_t count)
{
	unsigned char *batch = calloc(count, 28);

	for (size_t i = 0; i < count; i++) {
		wire_put32(batch + i * 28, NBD_REQUEST_MAGIC);
		wire_put32(batch + i * 28 + 4, type);
		wire_put64(batch + i * 28 + 8, i);
		wire_put32(batch + i * 28 + 24, length);
	}
	send_bytes(fd, batch, count * 28);
	free(batch);
}

static void hundreds_of_pipelined_requests_are_all_answered(void **state)
{
	enum { COUNT = 2000 };
	struct fixture *fixture = *state;
	bool *answered = calloc(COUNT, sizeof(*answered));
	uint64_t cookie;

	send_batch(fixture->fd, NBD_CMD_TRIM, 512, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
		assert_true(cookie < COUNT && !answered[cookie]);
		answered[cookie] = true;
	}
	free(answered);
}

static void range_past_the_end_is_refused(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t length;
	} ranges[] = {
		{ MEMORY_SIZE, 1 },
		{ MEMORY_SIZE - 1, 2 },
		{ MEMORY_SIZE + 1, 0 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 0 },
		{ UINT64_MAX - 510, 512 },
		{ UINT64_C(1) << 63, 512 },
		{ 0, MEMORY_SIZE + 1 },
	};
	static unsigned char data[MEMORY_SIZE + 1];
	struct fixture *fixture = *state;
	int fd = fixture->fd;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		uint64_t offset = ranges[i].offset;
		uint32_t length = ranges[i].length;

		assert_int_equal(ask(fd, 0, NBD_CMD_READ, offset, length), NBD_EINVAL);
		assert_int_equal(ask(fd, 0, NBD_CMD_TRIM, offset, length), NBD_EINVAL);
		assert_int_equal(ask(fd, 0, NBD_CMD_CACHE, offset, length), NBD_EINVAL);
		assert_int_equal(ask(fd, 0, NBD_CMD_WRITE_ZEROES, offset, length), NBD_ENOSPC);
		assert_int_equal(write_data(fd, 0, offset, data, length), NBD_ENOSPC);
	}
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_true(in_step(fd));
}

static void unknown_command_is_refused(void **state)
{
	static const uint16_t types[] = { NBD_CMD_BLOCK_STATUS, NBD_CMD_RESIZE, 9, 0x7fff, 0xffff };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(ask(fixture->fd, 0, types[i], 0, 512), NBD_EINVAL);
	assert_true(in_step(fixture->fd));
}

static void unknown_flag_is_refused_after_the_payload(void **state)
{
	static const unsigned char data[100000] = { 1 };
	struct fixture *fixture = *state;
	int fd = fixture->fd;

	for (unsigned int bit = 1; bit < 16; bit++) {
		uint16_t flag = (uint16_t)(1u << bit);

		assert_int_equal(write_data(fd, flag, 0, data, sizeof(data)), NBD_EINVAL);
		assert_int_equal(write_data(fd, flag, 0, data, 10), NBD_EINVAL);
		assert_int_equal(ask(fd, flag, NBD_CMD_READ, 0, 512), NBD_EINVAL);
		assert_int_equal(ask(fd, flag, NBD_CMD_TRIM, 0, 512), NBD_EINVAL);
		assert_int_equal(ask(fd, flag, NBD_CMD_FLUSH, 0, 0), NBD_EINVAL);
	}
	assert_true(in_step(fd));
	assert_int_equal(fixture->memory.bytes[0], 0);
}

static void fast_zero_is_refused_where_it_was_not_announced(void **state)
{
	struct fixture *fixture = *state;
	uint16_t flags = NBD_CMD_FLAG_FAST_ZERO;

	assert_int_equal(ask(fixture->fd, flags, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EINVAL);
	disconnect(fixture)->device.can_fast_zero = true;
	reconnect(fixture);
	flags |= NBD_CMD_FLAG_NO_HOLE;
	assert_int_equal(ask(fixture->fd, flags, NBD_CMD_WRITE_ZEROES, 0, 512), 0);
	assert_int_equal(atomic_load(&fixture->memory.last_flags),
		NBDT_REQUEST_FAST_ZERO | NBDT_REQUEST_NO_HOLE);
}

static void command_that_was_not_announced_is_refused(void **state)
{
	struct fixture *fixture = *state;

	disconnect(fixture)->ops.trim = NULL;
	fixture->memory.ops.zero = NULL;
	fixture->memory.ops.cache = NULL;
	fixture->memory.ops.flush = NULL;
	reconnect(fixture);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_TRIM, 0, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_CACHE, 0, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 0, 0), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, NBD_CMD_FLAG_FUA, NBD_CMD_READ, 0, 0), NBD_EINVAL);
	assert_true(in_step(fixture->fd));
}

static void read_only_export_refuses_writing_with_eperm(void **state)
{
	static const unsigned char data[70000] = { 1 };
	struct fixture *fixture = *state;

	disconnect(fixture)->device.read_only = true;
	reconnect(fixture);
	assert_int_equal(write_data(fixture->fd, 0, 0, data, sizeof(data)), NBD_EPERM);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_TRIM, 0, 512), NBD_EPERM);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EPERM);
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_true(in_step(fixture->fd));
}

static void flush_takes_no_range(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 512, 0), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 0, 512), NBD_EINVAL);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 1);
}

static void fua_is_accepted_on_every_command(void **state)
{
	struct fixture *fixture = *state;
	const uint16_t fua = NBD_CMD_FLAG_FUA;
	char data[512] = { 0 };

	send_request(fixture->fd, fua, NBD_CMD_READ, 1, 0, sizeof(data));
	assert_int_equal(receive_reply(fixture->fd, 1, data, sizeof(data)), 0);
	assert_int_equal(ask(fixture->fd, fua, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(ask(fixture->fd, fua, NBD_CMD_CACHE, 0, 512), 0);
}

static void fua_is_a_flush_afterwards_where_the_device_has_none(void **state)
{
	struct fixture *fixture = *state;
	struct memory_device *memory = &fixture->memory;
	const uint16_t fua = NBD_CMD_FLAG_FUA;

	assert_int_equal(write_data(fixture->fd, fua, 0, "x", 1), 0);
	assert_int_equal(atomic_load(&memory->flushes), 1);
	assert_int_equal(atomic_load(&memory->last_flags), 0);
	assert_int_equal(ask(fixture->fd, fua, NBD_CMD_TRIM, 0, 512), 0);
	assert_int_equal(ask(fixture->fd, fua, NBD_CMD_WRITE_ZEROES, 0, 512), 0);
	assert_int_equal(atomic_load(&memory->flushes), 3);
	/* Nothing to flush after a failure. */
	atomic_store(&memory->result, -EIO);
	assert_int_equal(write_data(fixture->fd, fua, 0, "x", 1), NBD_EIO);
	assert_int_equal(atomic_load(&memory->flushes), 3);
}

static void fua_is_left_to_a_device_that_can(void **state)
{
	struct fixture *fixture = *state;

	disconnect(fixture)->device.can_fua = true;
	reconnect(fixture);
	assert_int_equal(write_data(fixture->fd, NBD_CMD_FLAG_FUA, 0, "x", 1), 0);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 0);
	assert_int_equal(atomic_load(&fixture->memory.last_flags), NBDT_REQUEST_FUA);
}

static void payload_over_32_mib_is_skipped_and_refused(void **state)
{
	struct fixture *fixture = *state;
	uint32_t length = 32 * MIB + 1;
	unsigned char *data = calloc(1, length);

	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, length), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, UINT32_MAX), NBD_EINVAL);
	assert_int_equal(write_data(fixture->fd, 0, 0, data, length), NBD_EINVAL);
	assert_true(in_step(fixture->fd));
	free(data);
}

static void payload_over_64_mib_hangs_up(void **state)
{
	struct fixture *fixture = *state;

	send_request(fixture->fd, 0, NBD_CMD_WRITE, 1, 0, 64 * MIB + 1);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void trim_and_zeroes_may_exceed_the_payload_limit(void **state)
{
	struct fixture *fixture = *state;

	/* Accepted as a length, and then refused for the device's size alone. */
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, UINT32_MAX), NBD_ENOSPC);
}

static void unaligned_request_is_refused_without_handshake(void **state)
{
	struct fixture *fixture = *state;
	char data[512] = { 0 };

	disconnect(fixture)->device.block_minimum = 512;
	reconnect(fixture);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 1, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, 513), NBD_EINVAL);
	assert_int_equal(write_data(fixture->fd, 0, 256, data, 512), NBD_EINVAL);
	assert_int_equal(read_data(fixture->fd, 512, data, 512), 0);
}

/* Chooses the export over a handshake, asking for block sizes or not. */
static int negotiated(struct fixture *fixture, struct session *session, bool block_sizes)
{
	static const uint16_t wish = NBD_INFO_BLOCK_SIZE;
	char data[64];
	size_t length;

	session_open(session, fixture->session.server, NULL);
	greet(session->fd, NBD_FLAG_C_FIXED_NEWSTYLE);
	send_information_option(session->fd, NBD_OPT_GO, "disk", &wish, block_sizes ? 1 : 0);
	while (receive_option_reply(session->fd, NBD_OPT_GO, data, sizeof(data), &length) !=
		NBD_REP_ACK)
		;
	return session->fd;
}

static void block_size_binds_only_those_who_asked_for_it(void **state)
{
	struct fixture *fixture = *state;
	struct session session;
	char data[16];

	disconnect(fixture)->device.block_minimum = 512;
	reconnect(fixture);
	int fd = negotiated(fixture, &session, true);
	assert_int_equal(ask(fd, 0, NBD_CMD_READ, 1, 16), NBD_EINVAL);
	session_join(&session);
	fd = negotiated(fixture, &session, false);
	assert_int_equal(read_data(fd, 1, data, 16), 0);
	session_join(&session);
}

static void errors_are_mapped_to_those_of_the_wire(void **state)
{
	static const struct {
		int result;
		uint32_t error;
	} cases[] = {
		{ -EPERM, NBD_EPERM },
		{ -EROFS, NBD_EPERM },
		{ -EIO, NBD_EIO },
		{ -ENOMEM, NBD_ENOMEM },
		{ -EINVAL, NBD_EINVAL },
		{ -ENOSPC, NBD_ENOSPC },
		{ -EDQUOT, NBD_ENOSPC },
		{ -EFBIG, NBD_ENOSPC },
		{ -ESHUTDOWN, NBD_ESHUTDOWN },
		{ -ENOTSUP, NBD_EIO },
		{ -EAGAIN, NBD_EIO },
		{ -ENODEV, NBD_EIO },
		{ -EBADF, NBD_EIO },
		{ -4095, NBD_EIO },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		atomic_store(&fixture->memory.result, cases[i].result);
		assert_int_equal(write_data(fixture->fd, 0, 0, "x", 1), cases[i].error);
		/* A failed READ has no payload: the next reply follows at once. */
		assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, 512), cases[i].error);
	}
}

static void slow_zeroes_are_enotsup_for_those_who_want_speed(void **state)
{
	struct fixture *fixture = *state;

	disconnect(fixture)->device.can_fast_zero = true;
	reconnect(fixture);
	atomic_store(&fixture->memory.result, -ENOTSUP);
	assert_int_equal(ask(fixture->fd, NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 0, 512),
		NBD_ENOTSUP);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EIO);
}

static void empty_range_succeeds_without_the_device(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, 0), 0);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE, MEMORY_SIZE, 0), 0);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_TRIM, 0, 0), 0);
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_true(in_step(fixture->fd));
}

static void wrong_request_magic_hangs_up(void **state)
{
	struct fixture *fixture = *state;
	unsigned char junk[28];

	memset(junk, 'j', sizeof(junk));
	send_bytes(fixture->fd, junk, sizeof(junk));
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void goodbye_has_no_reply(void **state)
{
	struct fixture *fixture = *state;

	send_request(fixture->fd, 0, NBD_CMD_DISC, 1, 0, 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void goodbye_waits_for_what_is_outstanding(void **state)
{
	struct fixture *fixture = *state;
	uint64_t cookie;

	fixture->memory.hold = 3;
	for (unsigned int i = 0; i < 3; i++)
		send_request(fixture->fd, 0, NBD_CMD_TRIM, i, 0, 512);
	send_request(fixture->fd, 0, NBD_CMD_DISC, 9, 0, 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void half_closing_client_gets_all_its_replies(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char data[256 * KIB];

	for (unsigned int i = 0; i < 50; i++)
		send_request(fixture->fd, 0, NBD_CMD_READ, i, 0, sizeof(data));
	shutdown(fixture->fd, SHUT_WR);
	for (unsigned int i = 0; i < 50; i++)
		assert_int_equal(receive_reply(fixture->fd, i, data, sizeof(data)), 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void death_inside_a_payload_writes_nothing(void **state)
{
	static const uint32_t lengths[] = { 10, 4096, 200000 };
	struct fixture *fixture = *state;
	unsigned char *data = malloc(200000);

	memset(data, 0xff, 200000);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		send_request(fixture->fd, 0, NBD_CMD_WRITE, 1, 0, lengths[i]);
		send_bytes(fixture->fd, data, lengths[i] - 1);
		assert_int_equal(session_join(&fixture->session), -ECONNRESET);
		assert_int_equal(atomic_load(&fixture->memory.operations), 0);
		reconnect(fixture);
	}
	free(data);
}

static void death_inside_a_header_is_noticed(void **state)
{
	struct fixture *fixture = *state;

	send_bytes(fixture->fd, "\x25\x60\x95\x13", 4);
	assert_int_equal(session_join(&fixture->session), -ECONNRESET);
}

static void other_threads_may_complete_in_any_order(void **state)
{
	enum { COUNT = 16 };
	struct fixture *fixture = *state;
	unsigned char data[512];
	uint64_t cookie;

	fixture->memory.hold = COUNT;
	for (unsigned int i = 0; i < COUNT; i++)
		fixture->memory.bytes[i * sizeof(data)] = (unsigned char)i;
	for (unsigned int i = 0; i < COUNT; i++)
		send_request(fixture->fd, 0, NBD_CMD_READ, i, i * sizeof(data), sizeof(data));
	bool answered[COUNT] = { false };
	for (unsigned int i = 0; i < COUNT; i++) {
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
		receive_bytes(fixture->fd, data, sizeof(data));
		assert_true(cookie < COUNT && !answered[cookie]);
		assert_int_equal(data[0], cookie);
		answered[cookie] = true;
	}
}

static void pending_fua_write_is_flushed_before_its_reply(void **state)
{
	struct fixture *fixture = *state;

	fixture->memory.hold = 1;
	send_request(fixture->fd, NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 3, 0, 1);
	send_bytes(fixture->fd, "x", 1);
	assert_int_equal(receive_reply(fixture->fd, 3, NULL, 0), 0);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 1);
}

static void vanishing_client_leaves_buffers_to_pending_operations(void **state)
{
	struct fixture *fixture = *state;

	fixture->memory.hold = 5;
	for (unsigned int i = 0; i < 4; i++)
		send_request(fixture->fd, 0, NBD_CMD_READ, i, 0, 64 * KIB);
	while (atomic_load(&fixture->memory.operations) < 4)
		pause_briefly();
	close(fixture->fd);
	fixture->session.fd = -1;
	pause_briefly();
	assert_int_equal(atomic_load(&fixture->memory.held), 4);
	assert_false(atomic_load(&fixture->session.ended));
	fixture->memory.hold = 4;
	session_join(&fixture->session);
	assert_int_equal(atomic_load(&fixture->memory.held), 0);
}

static void hanging_up_leaves_buffers_to_pending_operations(void **state)
{
	static const unsigned char junk[28] = { 'j' };
	struct fixture *fixture = *state;

	fixture->memory.hold = 5;
	for (unsigned int i = 0; i < 4; i++)
		send_request(fixture->fd, 0, NBD_CMD_READ, i, 0, 64 * KIB);
	send_bytes(fixture->fd, junk, sizeof(junk));
	await_reception(fixture->fd);
	pause_briefly();
	assert_int_equal(atomic_load(&fixture->memory.held), 4);
	assert_false(atomic_load(&fixture->session.ended));
	fixture->memory.hold = 4;
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void reader_that_does_not_read_holds_bounded_memory(void **state)
{
	enum { COUNT = 40 };
	struct memory_device *big = calloc(1, sizeof(*big));
	struct session session;
	unsigned char *data = malloc(32 * MIB);

	(void)state;
	memory_device_init(big, 32 * MIB);
	session_start(&session, &big->device);
	for (unsigned int i = 0; i < COUNT; i++)
		send_request(session.fd, 0, NBD_CMD_READ, i, 0, 32 * MIB);
	for (int i = 0; i < 10; i++)
		pause_briefly();
	/* 64 MiB is the default limit: two such buffers. */
	assert_in_range(atomic_load(&big->operations), 1, 2);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(receive_reply(session.fd, i, data, 32 * MIB), 0);
	assert_int_equal(session_end(&session), 0);
	memory_device_destroy(big);
	free(big);
	free(data);
}

static void reader_that_does_not_read_holds_bounded_slots(void **state)
{
	enum { COUNT = 3000 };
	struct fixture *fixture = *state;
	unsigned char data[4096];

	send_batch(fixture->fd, NBD_CMD_READ, sizeof(data), COUNT);
	for (int i = 0; i < 5; i++)
		pause_briefly();
	assert_true(atomic_load(&fixture->memory.operations) < COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(receive_reply(fixture->fd, i, data, sizeof(data)), 0);
}

static void refused_writes_do_not_need_their_replies_read(void **state)
{
	enum { COUNT = 100 };
	struct fixture *fixture = *state;
	static const unsigned char data[64 * 1024];
	uint64_t cookie;

	for (unsigned int i = 0; i < COUNT; i++) {
		send_request(fixture->fd, 0, NBD_CMD_WRITE, i, UINT64_MAX - 7, sizeof(data));
		send_bytes(fixture->fd, data, sizeof(data));
	}
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), NBD_ENOSPC);
	assert_true(in_step(fixture->fd));
}

static void stop_ends_idle_clients_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct session others[20];

	for (size_t i = 0; i < 20; i++)
		session_open(&others[i], fixture->session.server, "disk");
	assert_true(in_step(fixture->fd));
	nbdt_server_stop(fixture->session.server);
	assert_true(at_end(fixture->fd));
	for (size_t i = 0; i < 20; i++) {
		assert_true(at_end(others[i].fd));
		assert_int_equal(session_join(&others[i]), 0);
	}
}

static void stop_answers_what_was_received(void **state)
{
	enum { COUNT = 8 };
	struct fixture *fixture = *state;
	uint64_t cookie;

	fixture->memory.hold = COUNT;
	for (unsigned int i = 0; i < COUNT - 1; i++)
		send_request(fixture->fd, 0, NBD_CMD_TRIM, i, 0, 512);
	while (atomic_load(&fixture->memory.operations) < COUNT - 1)
		pause_briefly();
	send_request(fixture->fd, 0, NBD_CMD_TRIM, COUNT - 1, 0, 512);
	nbdt_server_stop(fixture->session.server);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void resized_device_is_seen_by_the_next_request(void **state)
{
	struct fixture *fixture = *state;
	char data[512];

	disconnect(fixture)->device.size = 4096;
	reconnect(fixture);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 4096, 512), NBD_EINVAL);
	__atomic_store_n(&fixture->memory.device.size, 8192, __ATOMIC_RELEASE);
	assert_int_equal(read_data(fixture->fd, 4096, data, 512), 0);
}

static void oldest_request_is_told_while_it_lasts(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_server *server = fixture->session.server;
	uint64_t cookie;

	assert_int_equal(nbdt_server_oldest_request(server), 0);
	fixture->memory.hold = 2;
	send_request(fixture->fd, 0, NBD_CMD_TRIM, 1, 0, 512);
	for (int i = 0; i < 5; i++)
		pause_briefly();
	assert_in_range(nbdt_server_oldest_request(server), 40, 60000);
	send_request(fixture->fd, 0, NBD_CMD_TRIM, 2, 0, 512);
	receive_any_reply(fixture->fd, &cookie);
	receive_any_reply(fixture->fd, &cookie);
	assert_int_equal(nbdt_server_oldest_request(server), 0);
}

static void server_with_locked_memory_serves(void **state)
{
	const struct nbdt_server_options options = { .lock_memory = true, .memory_limit = 1 };
	struct fixture *fixture = *state;
	struct nbdt_server *server;
	struct session session;

	assert_int_equal(nbdt_server_new(&options, &server, NULL), 0);
	assert_int_equal(
		nbdt_server_add_export(server, "", NULL, &fixture->memory.device, NULL), 0);
	session_open(&session, server, "");
	assert_true(in_step(session.fd));
	assert_int_equal(session_end(&session), 0);
}

static void unknown_export_cannot_be_served(void **state)
{
	struct fixture *fixture = *state;
	struct session session;

	session_open(&session, fixture->session.server, "nothing");
	assert_true(at_end(session.fd));
	assert_int_equal(session_join(&session), -ENXIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_data_reads_back),
		TEST(device_gets_aligned_buffers),
		TEST(requests_may_come_byte_by_byte),
		TEST(hundreds_of_pipelined_requests_are_all_answered),
		TEST(range_past_the_end_is_refused),
		TEST(unknown_command_is_refused),
		TEST(unknown_flag_is_refused_after_the_payload),
		TEST(fast_zero_is_refused_where_it_was_not_announced),
		TEST(command_that_was_not_announced_is_refused),
		TEST(read_only_export_refuses_writing_with_eperm),
		TEST(flush_takes_no_range),
		TEST(fua_is_accepted_on_every_command),
		TEST(fua_is_a_flush_afterwards_where_the_device_has_none),
		TEST(fua_is_left_to_a_device_that_can),
		TEST(payload_over_32_mib_is_skipped_and_refused),
		TEST(payload_over_64_mib_hangs_up),
		TEST(trim_and_zeroes_may_exceed_the_payload_limit),
		TEST(unaligned_request_is_refused_without_handshake),
		TEST(block_size_binds_only_those_who_asked_for_it),
		TEST(errors_are_mapped_to_those_of_the_wire),
		TEST(slow_zeroes_are_enotsup_for_those_who_want_speed),
		TEST(empty_range_succeeds_without_the_device),
		TEST(wrong_request_magic_hangs_up),
		TEST(goodbye_has_no_reply),
		TEST(goodbye_waits_for_what_is_outstanding),
		TEST(half_closing_client_gets_all_its_replies),
		TEST(death_inside_a_payload_writes_nothing),
		TEST(death_inside_a_header_is_noticed),
		TEST(other_threads_may_complete_in_any_order),
		TEST(pending_fua_write_is_flushed_before_its_reply),
		TEST(vanishing_client_leaves_buffers_to_pending_operations),
		TEST(hanging_up_leaves_buffers_to_pending_operations),
		TEST(reader_that_does_not_read_holds_bounded_memory),
		TEST(reader_that_does_not_read_holds_bounded_slots),
		TEST(refused_writes_do_not_need_their_replies_read),
		TEST(stop_ends_idle_clients_at_once),
		TEST(stop_answers_what_was_received),
		TEST(resized_device_is_seen_by_the_next_request),
		TEST(oldest_request_is_told_while_it_lasts),
		TEST(server_with_locked_memory_serves),
		TEST(unknown_export_cannot_be_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
