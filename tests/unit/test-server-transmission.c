/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of requests and replies: batches, order, memory, completion (rules 31 to 39). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server-fixture.h"
#include "wire.h"

static void fill(unsigned char *data, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

static void written_data_reads_back(void **state)
{
	static const uint32_t lengths[] = { 1, 511, 4096, 4097, 100000, 262144, MEMORY_SIZE };
	struct server_fixture *fixture = *state;
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
	struct server_fixture *fixture = *state;
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
	struct server_fixture *fixture = *state;
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

static void rule_39_hundreds_of_pipelined_requests_are_all_answered(void **state)
{
	enum { COUNT = 2000 };
	struct server_fixture *fixture = *state;
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

static void rule_31_fua_is_a_flush_afterwards_where_the_device_has_none(void **state)
{
	struct server_fixture *fixture = *state;
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

static void rule_31_fua_is_left_to_a_device_that_can(void **state)
{
	struct server_fixture *fixture = *state;

	server_disconnect(fixture)->device.can_fua = true;
	server_reconnect(fixture);
	assert_int_equal(write_data(fixture->fd, NBD_CMD_FLAG_FUA, 0, "x", 1), 0);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 0);
	assert_int_equal(atomic_load(&fixture->memory.last_flags), NBDT_REQUEST_FUA);
}

static void rule_39_other_threads_may_complete_in_any_order(void **state)
{
	enum { COUNT = 16 };
	struct server_fixture *fixture = *state;
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

static void rule_31_pending_fua_write_is_flushed_before_its_reply(void **state)
{
	struct server_fixture *fixture = *state;

	fixture->memory.hold = 1;
	send_request(fixture->fd, NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 3, 0, 1);
	send_bytes(fixture->fd, "x", 1);
	assert_int_equal(receive_reply(fixture->fd, 3, NULL, 0), 0);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 1);
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
	struct server_fixture *fixture = *state;
	unsigned char data[4096];

	send_batch(fixture->fd, NBD_CMD_READ, sizeof(data), COUNT);
	for (int i = 0; i < 5; i++)
		pause_briefly();
	assert_true(atomic_load(&fixture->memory.operations) < COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(receive_reply(fixture->fd, i, data, sizeof(data)), 0);
}

static void oldest_request_is_told_while_it_lasts(void **state)
{
	struct server_fixture *fixture = *state;
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
	const struct nbdt_server_options options = { .locked_memory = 1024, .memory_limit = 1 };
	struct server_fixture *fixture = *state;
	struct nbdt_server *server;
	struct session session;

	assert_int_equal(nbdt_server_new(&options, &server, NULL), 0);
	assert_int_equal(
		nbdt_server_add_export(server, "", NULL, &fixture->memory.device, NULL), 0);
	session_open(&session, server, "");
	assert_true(in_step(session.fd));
	assert_int_equal(session_end(&session), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(written_data_reads_back),
		SERVER_TEST(device_gets_aligned_buffers),
		SERVER_TEST(requests_may_come_byte_by_byte),
		SERVER_TEST(rule_39_hundreds_of_pipelined_requests_are_all_answered),
		SERVER_TEST(rule_31_fua_is_a_flush_afterwards_where_the_device_has_none),
		SERVER_TEST(rule_31_fua_is_left_to_a_device_that_can),
		SERVER_TEST(rule_39_other_threads_may_complete_in_any_order),
		SERVER_TEST(rule_31_pending_fua_write_is_flushed_before_its_reply),
		SERVER_TEST(reader_that_does_not_read_holds_bounded_memory),
		SERVER_TEST(reader_that_does_not_read_holds_bounded_slots),
		SERVER_TEST(oldest_request_is_told_while_it_lasts),
		SERVER_TEST(server_with_locked_memory_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
