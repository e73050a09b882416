/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests the server takes, and with which error it refuses the others (rules 26 to 38). */
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

static void rule_37_range_past_the_end_is_refused(void **state)
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
	struct server_fixture *fixture = *state;
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

static void rule_36_unknown_command_is_refused(void **state)
{
	static const uint16_t types[] = { NBD_CMD_BLOCK_STATUS, NBD_CMD_RESIZE, 9, 0x7fff, 0xffff };
	struct server_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(ask(fixture->fd, 0, types[i], 0, 512), NBD_EINVAL);
	assert_true(in_step(fixture->fd));
}

static void rule_36_unknown_flag_is_refused_after_the_payload(void **state)
{
	static const unsigned char data[100000] = { 1 };
	struct server_fixture *fixture = *state;
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

static void rule_34_fast_zero_is_refused_where_it_was_not_announced(void **state)
{
	struct server_fixture *fixture = *state;
	uint16_t flags = NBD_CMD_FLAG_FAST_ZERO;

	assert_int_equal(ask(fixture->fd, flags, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EINVAL);
	server_disconnect(fixture)->device.can_fast_zero = true;
	server_reconnect(fixture);
	flags |= NBD_CMD_FLAG_NO_HOLE;
	assert_int_equal(ask(fixture->fd, flags, NBD_CMD_WRITE_ZEROES, 0, 512), 0);
	assert_int_equal(atomic_load(&fixture->memory.last_flags),
		NBDT_REQUEST_FAST_ZERO | NBDT_REQUEST_NO_HOLE);
}

static void rule_29_command_that_was_not_announced_is_refused(void **state)
{
	struct server_fixture *fixture = *state;

	server_disconnect(fixture)->ops.trim = NULL;
	fixture->memory.ops.zero = NULL;
	fixture->memory.ops.cache = NULL;
	fixture->memory.ops.flush = NULL;
	server_reconnect(fixture);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_TRIM, 0, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_CACHE, 0, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 0, 0), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, NBD_CMD_FLAG_FUA, NBD_CMD_READ, 0, 0), NBD_EINVAL);
	assert_true(in_step(fixture->fd));
}

static void rule_30_read_only_export_refuses_writing(void **state)
{
	static const unsigned char data[70000] = { 1 };
	struct server_fixture *fixture = *state;

	server_disconnect(fixture)->device.read_only = true;
	server_reconnect(fixture);
	assert_int_equal(write_data(fixture->fd, 0, 0, data, sizeof(data)), NBD_EPERM);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_TRIM, 0, 512), NBD_EPERM);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EPERM);
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_true(in_step(fixture->fd));
}

static void failing_writes_can_be_switched(void **state)
{
	struct server_fixture *fixture = *state;
	const struct nbdt_device *device = &fixture->memory.device;

	nbdt_device_fail_writes(&fixture->memory.device, true);
	assert_true(nbdt_device_fails_writes(device));
	assert_int_equal(write_data(fixture->fd, 0, 0, "word", 4), NBD_EPERM);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_TRIM, 0, 512), NBD_EPERM);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EPERM);
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 0, 0), 0);
	assert_true(in_step(fixture->fd));
	nbdt_device_fail_writes(&fixture->memory.device, false);
	assert_int_equal(write_data(fixture->fd, 0, 0, "word", 4), 0);
}

static void rule_32_flush_takes_no_range(void **state)
{
	struct server_fixture *fixture = *state;

	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 512, 0), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_FLUSH, 0, 512), NBD_EINVAL);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 1);
}

static void rule_31_fua_is_accepted_on_every_command(void **state)
{
	struct server_fixture *fixture = *state;
	const uint16_t fua = NBD_CMD_FLAG_FUA;
	char data[512] = { 0 };

	send_request(fixture->fd, fua, NBD_CMD_READ, 1, 0, sizeof(data));
	assert_int_equal(receive_reply(fixture->fd, 1, data, sizeof(data)), 0);
	assert_int_equal(ask(fixture->fd, fua, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(ask(fixture->fd, fua, NBD_CMD_CACHE, 0, 512), 0);
}

static void rule_27_payload_over_32_mib_is_skipped_and_refused(void **state)
{
	struct server_fixture *fixture = *state;
	uint32_t length = 32 * MIB + 1;
	unsigned char *data = calloc(1, length);

	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, length), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, UINT32_MAX), NBD_EINVAL);
	assert_int_equal(write_data(fixture->fd, 0, 0, data, length), NBD_EINVAL);
	assert_true(in_step(fixture->fd));
	free(data);
}

static void rule_27_payload_over_64_mib_hangs_up(void **state)
{
	struct server_fixture *fixture = *state;

	send_request(fixture->fd, 0, NBD_CMD_WRITE, 1, 0, 64 * MIB + 1);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_27_trim_and_zeroes_may_exceed_the_payload_limit(void **state)
{
	struct server_fixture *fixture = *state;

	/* Accepted as a length, and then refused for the device's size alone. */
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, UINT32_MAX), NBD_ENOSPC);
}

static void rule_26_unaligned_request_is_refused_without_handshake(void **state)
{
	struct server_fixture *fixture = *state;
	char data[512] = { 0 };

	server_disconnect(fixture)->device.block_minimum = 512;
	server_reconnect(fixture);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 1, 512), NBD_EINVAL);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, 513), NBD_EINVAL);
	assert_int_equal(write_data(fixture->fd, 0, 256, data, 512), NBD_EINVAL);
	assert_int_equal(read_data(fixture->fd, 512, data, 512), 0);
}

/* Chooses the export over a handshake, asking for block sizes or not. */
static int negotiated(struct server_fixture *fixture, struct session *session, bool block_sizes)
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

static void rule_26_block_size_binds_only_those_who_asked_for_it(void **state)
{
	struct server_fixture *fixture = *state;
	struct session session;
	char data[16];

	server_disconnect(fixture)->device.block_minimum = 512;
	server_reconnect(fixture);
	int fd = negotiated(fixture, &session, true);
	assert_int_equal(ask(fd, 0, NBD_CMD_READ, 1, 16), NBD_EINVAL);
	session_join(&session);
	fd = negotiated(fixture, &session, false);
	assert_int_equal(read_data(fd, 1, data, 16), 0);
	session_join(&session);
}

static void rule_38_errors_are_mapped_to_those_of_the_wire(void **state)
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
	struct server_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		atomic_store(&fixture->memory.result, cases[i].result);
		assert_int_equal(write_data(fixture->fd, 0, 0, "x", 1), cases[i].error);
		/* A failed READ has no payload: the next reply follows at once. */
		assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, 512), cases[i].error);
	}
}

static void rule_34_slow_zeroes_are_enotsup_for_those_who_want_speed(void **state)
{
	struct server_fixture *fixture = *state;

	server_disconnect(fixture)->device.can_fast_zero = true;
	server_reconnect(fixture);
	atomic_store(&fixture->memory.result, -ENOTSUP);
	assert_int_equal(ask(fixture->fd, NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 0, 512),
		NBD_ENOTSUP);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EIO);
}

static void empty_range_succeeds_without_the_device(void **state)
{
	struct server_fixture *fixture = *state;

	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 0, 0), 0);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_WRITE, MEMORY_SIZE, 0), 0);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_TRIM, 0, 0), 0);
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_true(in_step(fixture->fd));
}

static void refused_writes_do_not_need_their_replies_read(void **state)
{
	enum { COUNT = 100 };
	struct server_fixture *fixture = *state;
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

static void resized_device_is_seen_by_the_next_request(void **state)
{
	struct server_fixture *fixture = *state;
	char data[512];

	server_disconnect(fixture)->device.size = 4096;
	server_reconnect(fixture);
	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_READ, 4096, 512), NBD_EINVAL);
	__atomic_store_n(&fixture->memory.device.size, 8192, __ATOMIC_RELEASE);
	assert_int_equal(read_data(fixture->fd, 4096, data, 512), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(rule_37_range_past_the_end_is_refused),
		SERVER_TEST(rule_36_unknown_command_is_refused),
		SERVER_TEST(rule_36_unknown_flag_is_refused_after_the_payload),
		SERVER_TEST(rule_34_fast_zero_is_refused_where_it_was_not_announced),
		SERVER_TEST(rule_29_command_that_was_not_announced_is_refused),
		SERVER_TEST(rule_30_read_only_export_refuses_writing),
		SERVER_TEST(failing_writes_can_be_switched),
		SERVER_TEST(rule_32_flush_takes_no_range),
		SERVER_TEST(rule_31_fua_is_accepted_on_every_command),
		SERVER_TEST(rule_27_payload_over_32_mib_is_skipped_and_refused),
		SERVER_TEST(rule_27_payload_over_64_mib_hangs_up),
		SERVER_TEST(rule_27_trim_and_zeroes_may_exceed_the_payload_limit),
		SERVER_TEST(rule_26_unaligned_request_is_refused_without_handshake),
		SERVER_TEST(rule_26_block_size_binds_only_those_who_asked_for_it),
		SERVER_TEST(rule_38_errors_are_mapped_to_those_of_the_wire),
		SERVER_TEST(rule_34_slow_zeroes_are_enotsup_for_those_who_want_speed),
		SERVER_TEST(empty_range_succeeds_without_the_device),
		SERVER_TEST(refused_writes_do_not_need_their_replies_read),
		SERVER_TEST(resized_device_is_seen_by_the_next_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
