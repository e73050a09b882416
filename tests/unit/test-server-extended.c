/* SPDX-License-Identifier: Apache-2.0 */
/* Extended headers, byte by byte (rule 23). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scripted-chunks.h"
#include "wire.h"

#define PAYLOAD_LEN NBD_CMD_FLAG_PAYLOAD_LEN

/* Sends one frame, and the server must answer with the other. String literals end with a zero. */
#define CHECK_FRAMES(talk, request, reply) \
	check_frames((talk)->fd, request, sizeof(request) - 1, reply, sizeof(reply) - 1)

static void check_frames(
	int fd, const char *request, size_t request_length, const char *reply, size_t reply_length)
{
	unsigned char received[256];

	assert_true(reply_length <= sizeof(received));
	send_bytes(fd, request, request_length);
	receive_bytes(fd, received, reply_length);
	assert_memory_equal(received, reply, reply_length);
}

#define REQUEST "\x21\xe4\x1c\x71"
#define REPLY "\x6e\x8a\x27\x8c"
#define COOKIE "\x01\x02\x03\x04\x05\x06\x07\x08"
#define NUMBER(byte) "\0\0\0\0\0\0\0" byte

static void open_extended(struct server_fixture *fixture, struct talk *talk)
{
	talk_open(talk, fixture->session.server, TALK_EXTENDED | TALK_ALLOCATION);
	assert_true(talk->flags & NBD_FLAG_SEND_DF);
	assert_false(talk->flags & NBD_FLAG_BLOCK_STATUS_PAYLOAD);
}

static void rule_23_read_byte_by_byte(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	memcpy(fixture->memory.bytes + 16, "data", 4);
	open_extended(fixture, &talk);
	CHECK_FRAMES(&talk, REQUEST "\0\0" "\0\0" COOKIE NUMBER("\x10") NUMBER("\x04"),
		REPLY "\0\1" "\0\1" COOKIE NUMBER("\x10") NUMBER("\x0c") NUMBER("\x10") "data");
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_write_byte_by_byte(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_extended(fixture, &talk);
	CHECK_FRAMES(&talk, REQUEST "\0\x20" "\0\1" COOKIE NUMBER("\x20") NUMBER("\x05") "hello",
		REPLY "\0\1" "\0\0" COOKIE NUMBER("\x20") NUMBER("\0"));
	assert_memory_equal(fixture->memory.bytes + 32, "hello", 5);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_effects_byte_by_byte(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_extended(fixture, &talk);
	CHECK_FRAMES(&talk, REQUEST "\0\0" "\0\3" COOKIE NUMBER("\0") NUMBER("\0"),
		REPLY "\0\1" "\0\0" COOKIE NUMBER("\0") NUMBER("\0"));
	CHECK_FRAMES(&talk, REQUEST "\0\1" "\0\4" COOKIE NUMBER("\x10") NUMBER("\x20"),
		REPLY "\0\1" "\0\0" COOKIE NUMBER("\x10") NUMBER("\0"));
	CHECK_FRAMES(&talk, REQUEST "\0\0" "\0\5" COOKIE NUMBER("\x11") NUMBER("\x21"),
		REPLY "\0\1" "\0\0" COOKIE NUMBER("\x11") NUMBER("\0"));
	fixture->memory.bytes[0x12] = 'd';
	/* FUA, NO_HOLE */
	CHECK_FRAMES(&talk, REQUEST "\0\3" "\0\6" COOKIE NUMBER("\x12") NUMBER("\x22"),
		REPLY "\0\1" "\0\0" COOKIE NUMBER("\x12") NUMBER("\0"));
	assert_int_equal(fixture->memory.bytes[0x12], 0);
	send_bytes(talk.fd, REQUEST "\0\0" "\0\2" COOKIE NUMBER("\0") NUMBER("\0"), 32);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_hole_byte_by_byte(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_extended(fixture, &talk);
	CHECK_FRAMES(&talk,
		REQUEST "\0\0" "\0\0" COOKIE NUMBER("\x10") "\0\0\0\0\0\0\x80\0",
		REPLY "\0\1" "\0\2" COOKIE NUMBER("\x10") NUMBER("\x0c") NUMBER("\x10")
			"\0\0\x80\0");
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_status_byte_by_byte(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	fixture->memory.bytes[0] = 1;
	open_extended(fixture, &talk);
	CHECK_FRAMES(&talk,
		REQUEST "\0\0" "\0\7" COOKIE "\0\0\0\0\0\0\x0f\0" "\0\0\0\0\0\0\x10\0",
		REPLY "\0\1" "\0\6" COOKIE "\0\0\0\0\0\0\x0f\0" NUMBER("\x28")
			"\0\0\0\1" "\0\0\0\2" "\0\0\0\0\0\0\1\0" NUMBER("\0")
			"\0\0\0\0\0\0\x0f\0" NUMBER("\3"));
	/* REQ_ONE */
	CHECK_FRAMES(&talk,
		REQUEST "\0\x08" "\0\7" COOKIE "\0\0\0\0\0\0\x0f\0" "\0\0\0\0\0\0\x10\0",
		REPLY "\0\1" "\0\6" COOKIE "\0\0\0\0\0\0\x0f\0" NUMBER("\x18")
			"\0\0\0\1" "\0\0\0\1" "\0\0\0\0\0\0\1\0" NUMBER("\0"));
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_error_byte_by_byte(void **state)
{
	struct server_fixture *fixture = *state;
	static struct chunk chunk;
	struct talk talk;

	open_extended(fixture, &talk);
	CHECK_FRAMES(&talk, REQUEST "\0\0" "\0\x63" COOKIE NUMBER("\x10") NUMBER("\0"),
		REPLY "\0\1" "\x80\1" COOKIE NUMBER("\x10"));
	receive_bytes(talk.fd, chunk.payload, 8);
	uint64_t length = wire_get64(chunk.payload);
	assert_in_range(length, 7, 200);
	receive_bytes(talk.fd, chunk.payload, length);
	assert_int_equal(wire_get32(chunk.payload), NBD_EINVAL);
	assert_int_equal(wire_get16(chunk.payload + 4), length - 6);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_needs_no_structured_replies_but_bears_them(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_EXTENDED);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_structured_replies_come_too_late(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	talk_begin(&talk, fixture->session.server);
	assert_int_equal(
		talk_try(&talk, NBD_OPT_EXTENDED_HEADERS, "x", 1), NBD_REP_ERR_INVALID);
	assert_int_equal(talk_try(&talk, NBD_OPT_EXTENDED_HEADERS, NULL, 0), NBD_REP_ACK);
	assert_int_equal(talk_try(&talk, NBD_OPT_STRUCTURED_REPLY, NULL, 0),
		NBD_REP_ERR_EXT_HEADER_REQD);
	assert_int_equal(talk_go(&talk, "disk", false), NBD_REP_ACK);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_forbids_export_name(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	talk_begin(&talk, fixture->session.server);
	assert_int_equal(talk_try(&talk, NBD_OPT_EXTENDED_HEADERS, NULL, 0), NBD_REP_ACK);
	send_option(talk.fd, NBD_OPT_EXPORT_NAME, "disk", 4);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), -EPROTO);
}

static void rule_23_compact_request_hangs_up(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_extended(fixture, &talk);
	send_request(talk.fd, 0, NBD_CMD_READ, 1, 0, 512);
	send_bytes(talk.fd, "more", 4);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), -EPROTO);
}

static void rule_23_extended_request_hangs_up_without_agreement(void **state)
{
	struct server_fixture *fixture = *state;

	send_bytes(fixture->fd, REQUEST "\0\0" "\0\0" COOKIE NUMBER("\0") NUMBER("\1"), 32);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_23_write_needs_its_payload_flag(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_extended(fixture, &talk);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_WRITE, 0, 512), NBD_EINVAL);
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_payload_of_other_commands_is_skipped_and_refused(void **state)
{
	static const uint16_t types[] = { NBD_CMD_READ, NBD_CMD_FLUSH, NBD_CMD_TRIM, NBD_CMD_CACHE,
		NBD_CMD_WRITE_ZEROES, NBD_CMD_BLOCK_STATUS, 77 };
	static const unsigned char data[300000];
	struct server_fixture *fixture = *state;
	static struct chunk chunk;
	struct talk talk;

	open_extended(fixture, &talk);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		talk_request(&talk, PAYLOAD_LEN, types[i], i, 0, sizeof(data));
		send_bytes(talk.fd, data, sizeof(data));
		talk_receive(&talk, &chunk);
		assert_int_equal(chunk.type, NBD_REPLY_TYPE_ERROR);
		assert_int_equal(wire_get32(chunk.payload), NBD_EINVAL);
		assert_int_equal(talk_ask(&talk, 0, NBD_CMD_FLUSH, 0, 0), 0);
	}
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_payload_over_the_maximum_hangs_up(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_extended(fixture, &talk);
	talk_request(&talk, PAYLOAD_LEN, NBD_CMD_WRITE, 1, 0, 32 * MIB + 1);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), -EPROTO);
	open_extended(fixture, &talk);
	talk_request(&talk, PAYLOAD_LEN, NBD_CMD_FLUSH, 1, 0, UINT64_MAX);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), -EPROTO);
}

static int huge_effect(struct nbdt_device *device, struct nbdt_request *request)
{
	struct memory_device *memory = (struct memory_device *)device;

	atomic_fetch_add(&memory->operations, 1);
	return request->length == (UINT64_C(1) << 40) ? 0 : -EIO;
}

static int huge_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	(void)device, (void)offset, (void)flags;
	extents[0].length = length;
	extents[0].flags = NBDT_EXTENT_HOLE;
	*count = 1;
	return 0;
}

static void rule_23_effects_have_64_bit_lengths(void **state)
{
	const uint64_t size = UINT64_C(1) << 40;
	struct server_fixture *fixture = *state;
	struct nbdt_device_ops *ops = &server_disconnect(fixture)->ops;
	static struct chunk chunk;
	struct talk talk;

	ops->trim = ops->zero = ops->cache = huge_effect;
	ops->extents = huge_extents;
	fixture->memory.device.size = 2 * size;
	server_reconnect(fixture);
	open_extended(fixture, &talk);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_TRIM, size, size), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_WRITE_ZEROES, 0, size), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_CACHE, 1, size), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_READ, 0, size), NBD_EOVERFLOW);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_TRIM, size, size + 1), NBD_EINVAL);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_WRITE_ZEROES, size, UINT64_MAX), NBD_ENOSPC);
	talk_request(&talk, 0, NBD_CMD_BLOCK_STATUS, 1, 0, size);
	talk_receive(&talk, &chunk);
	assert_int_equal(chunk.type, NBD_REPLY_TYPE_BLOCK_STATUS_EXT);
	assert_int_equal(chunk.length, 8 + 16);
	assert_true(wire_get64(chunk.payload + 8) == size);
	assert_int_equal(wire_get64(chunk.payload + 16), NBD_STATE_HOLE);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_23_read_has_chunks_of_data_and_of_holes(void **state)
{
	static struct content content;
	struct server_fixture *fixture = *state;
	struct talk talk;

	memset(fixture->memory.bytes + 40 * KIB, 'd', 8 * KIB);
	open_extended(fixture, &talk);
	assert_int_equal(talk_read(&talk, 0, 0, MEMORY_SIZE, &content), 0);
	assert_memory_equal(content.bytes, fixture->memory.bytes, MEMORY_SIZE);
	assert_int_equal(content.data_chunks, 1);
	assert_int_equal(content.hole_chunks, 2);
	assert_int_equal(talk_read(&talk, NBD_CMD_FLAG_DF, 0, MEMORY_SIZE, &content), 0);
	assert_int_equal(content.data_chunks, 1);
	assert_int_equal(content.hole_chunks, 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void goodbye_in_extended_headers_ends_the_session(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_extended(fixture, &talk);
	talk_request(&talk, 0, NBD_CMD_DISC, 1, 0, 0);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), 0);
}

static void large_writes_are_pipelined_in_extended_headers(void **state)
{
	enum { COUNT = 30, SIZE = 200000 };
	struct server_fixture *fixture = *state;
	unsigned char *data = malloc(SIZE);
	static struct chunk chunk;
	struct talk talk;

	open_extended(fixture, &talk);
	for (unsigned int i = 0; i < COUNT; i++) {
		memset(data, (int)i, SIZE);
		talk_request(&talk, PAYLOAD_LEN, NBD_CMD_WRITE, i, i, SIZE);
		send_bytes(talk.fd, data, SIZE);
	}
	for (unsigned int i = 0; i < COUNT; i++) {
		talk_receive(&talk, &chunk);
		assert_int_equal(chunk.type, NBD_REPLY_TYPE_NONE);
		assert_true(chunk.offset == chunk.cookie);
	}
	assert_memory_equal(fixture->memory.bytes + COUNT - 1, data, SIZE);
	assert_int_equal(fixture->memory.bytes[COUNT - 2], COUNT - 2);
	assert_int_equal(talk_close(&talk), 0);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(rule_23_read_byte_by_byte),
		SERVER_TEST(rule_23_write_byte_by_byte),
		SERVER_TEST(rule_23_effects_byte_by_byte),
		SERVER_TEST(rule_23_hole_byte_by_byte),
		SERVER_TEST(rule_23_status_byte_by_byte),
		SERVER_TEST(rule_23_error_byte_by_byte),
		SERVER_TEST(rule_23_needs_no_structured_replies_but_bears_them),
		SERVER_TEST(rule_23_structured_replies_come_too_late),
		SERVER_TEST(rule_23_forbids_export_name),
		SERVER_TEST(rule_23_compact_request_hangs_up),
		SERVER_TEST(rule_23_extended_request_hangs_up_without_agreement),
		SERVER_TEST(rule_23_write_needs_its_payload_flag),
		SERVER_TEST(rule_23_payload_of_other_commands_is_skipped_and_refused),
		SERVER_TEST(rule_23_payload_over_the_maximum_hangs_up),
		SERVER_TEST(rule_23_effects_have_64_bit_lengths),
		SERVER_TEST(rule_23_read_has_chunks_of_data_and_of_holes),
		SERVER_TEST(goodbye_in_extended_headers_ends_the_session),
		SERVER_TEST(large_writes_are_pipelined_in_extended_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
