/* SPDX-License-Identifier: Apache-2.0 */
/* Replies in chunks: READ with holes, DF, errors with texts (rules 21, 30, 35, 38, 39, 41). */
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

#define GRAIN MEMORY_GRAIN

static struct content content;

static void open_talk(struct server_fixture *fixture, struct talk *talk)
{
	talk_open(talk, fixture->session.server, TALK_STRUCTURED);
}

/* The reply to a READ is right, and has so many chunks of each kind. */
static void check_read(struct server_fixture *fixture, struct talk *talk, uint16_t flags,
	uint64_t offset, uint32_t length, unsigned int data, unsigned int holes)
{
	assert_int_equal(talk_read(talk, flags, offset, length, &content), 0);
	assert_memory_equal(content.bytes, fixture->memory.bytes + offset, length);
	assert_int_equal(content.data_chunks, data);
	assert_int_equal(content.hole_chunks, holes);
}

static void rule_21_structured_reply_takes_no_data(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	talk_begin(&talk, fixture->session.server);
	assert_int_equal(
		talk_try(&talk, NBD_OPT_STRUCTURED_REPLY, "x", 1), NBD_REP_ERR_INVALID);
	assert_int_equal(talk_go(&talk, "disk", false), NBD_REP_ACK);
	assert_false(talk.flags & NBD_FLAG_SEND_DF);
	assert_true(in_step(talk.fd));
	talk_close(&talk);
}

static void rule_21_every_read_is_answered_with_chunks(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	memset(fixture->memory.bytes, 'd', 65536);
	open_talk(fixture, &talk);
	check_read(fixture, &talk, 0, 0, 1, 1, 0);
	check_read(fixture, &talk, 0, 513, 4096, 1, 0);
	check_read(fixture, &talk, 0, 1, 65535, 1, 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_READ, MEMORY_SIZE, 1), NBD_EINVAL);
	assert_int_equal(talk_ask(&talk, NBD_CMD_FLAG_NO_HOLE, NBD_CMD_READ, 0, 1), NBD_EINVAL);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_READ, 0, 0), 0);
	check_read(fixture, &talk, 0, 0, 10, 1, 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_21_other_commands_are_answered_with_a_chunk_too(void **state)
{
	struct server_fixture *fixture = *state;
	struct chunk chunk;
	struct talk talk;

	open_talk(fixture, &talk);
	talk_request(&talk, 0, NBD_CMD_WRITE, 9, 100, 5);
	send_bytes(talk.fd, "hello", 5);
	talk_receive(&talk, &chunk);
	assert_int_equal(chunk.type, NBD_REPLY_TYPE_NONE);
	assert_int_equal(chunk.flags, NBD_REPLY_FLAG_DONE);
	assert_true(chunk.cookie == 9);
	assert_memory_equal(fixture->memory.bytes + 100, "hello", 5);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_FLUSH, 0, 0), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_TRIM, 0, 512), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_WRITE_ZEROES, 0, 512), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_CACHE, 0, 512), 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_21_df_is_clear_without_structured_replies(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	talk_open(&talk, fixture->session.server, 0);
	assert_int_equal(talk.flags, nbdt_device_flags(&fixture->memory.device));
	assert_false(talk.flags & NBD_FLAG_SEND_DF);
	assert_int_equal(ask(talk.fd, NBD_CMD_FLAG_DF, NBD_CMD_READ, 0, 512), NBD_EINVAL);
	talk_close(&talk);
	open_talk(fixture, &talk);
	assert_int_equal(
		talk.flags, nbdt_device_flags(&fixture->memory.device) | NBD_FLAG_SEND_DF);
	talk_close(&talk);
}

static void rule_41_read_has_chunks_of_data_and_of_holes(void **state)
{
	struct server_fixture *fixture = *state;
	unsigned char *bytes = fixture->memory.bytes;
	struct talk talk;

	memset(bytes + 4 * GRAIN, 'd', 8 * GRAIN);
	memset(bytes + 40 * GRAIN, 'e', GRAIN);
	open_talk(fixture, &talk);
	/* Hole, data, hole, data, hole. */
	check_read(fixture, &talk, 0, 0, 64 * GRAIN, 2, 3);
	check_read(fixture, &talk, 0, 5 * GRAIN + 1, 36 * GRAIN - 1, 2, 1);
	check_read(fixture, &talk, 0, 8 * GRAIN, 32 * GRAIN, 1, 1);
	check_read(fixture, &talk, 0, 2 * GRAIN, 9 * GRAIN, 1, 1);
	check_read(fixture, &talk, 0, 0, MEMORY_SIZE, 2, 3);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_41_hole_is_not_read(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_talk(fixture, &talk);
	check_read(fixture, &talk, 0, 0, MEMORY_SIZE, 0, 1);
	check_read(fixture, &talk, 0, 12345, 65537, 0, 1);
	assert_int_equal(atomic_load(&fixture->memory.operations), 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_41_more_extents_than_chunks_are_sent_as_data(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	for (size_t at = 0; at < MEMORY_SIZE; at += 2 * GRAIN)
		fixture->memory.bytes[at] = (unsigned char)(1 + at / GRAIN % 200);
	open_talk(fixture, &talk);
	assert_int_equal(talk_read(&talk, 0, 0, MEMORY_SIZE, &content), 0);
	assert_memory_equal(content.bytes, fixture->memory.bytes, MEMORY_SIZE);
	assert_in_range(content.hole_chunks, 2, 64);
	assert_in_range(content.data_chunks, 2, 64);
	assert_int_equal(talk_close(&talk), 0);
}

static void holes_are_not_looked_for_in_small_reads(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_talk(fixture, &talk);
	check_read(fixture, &talk, 0, 0, GRAIN, 1, 0);
	check_read(fixture, &talk, 0, 0, 5 * GRAIN, 1, 0);
	assert_int_equal(atomic_load(&fixture->memory.questions), 0);
	talk_close(&talk);
	/* Nor for those who could not be told. */
	assert_int_equal(read_data(fixture->fd, 0, content.bytes, 100000), 0);
	assert_int_equal(atomic_load(&fixture->memory.questions), 0);
}

static void device_that_knows_no_holes_is_read(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	server_disconnect(fixture)->ops.extents = NULL;
	server_reconnect(fixture);
	open_talk(fixture, &talk);
	check_read(fixture, &talk, 0, 0, MEMORY_SIZE, 1, 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_35_df_gets_one_chunk_of_content(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	memset(fixture->memory.bytes + 8 * GRAIN, 'd', 16 * GRAIN);
	open_talk(fixture, &talk);
	check_read(fixture, &talk, NBD_CMD_FLAG_DF, 0, 64 * GRAIN, 1, 0);
	check_read(fixture, &talk, NBD_CMD_FLAG_DF, 8 * GRAIN, 56 * GRAIN, 1, 0);
	check_read(fixture, &talk, NBD_CMD_FLAG_DF, 100 * GRAIN, 56 * GRAIN, 0, 1);
	check_read(fixture, &talk, NBD_CMD_FLAG_DF, 0, MEMORY_SIZE, 1, 0);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_35_read_over_the_maximum_is_eoverflow(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_talk(fixture, &talk);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_READ, 0, 32 * MIB + 1), NBD_EOVERFLOW);
	assert_int_equal(talk_ask(&talk, NBD_CMD_FLAG_DF, NBD_CMD_READ, 0, UINT32_MAX),
		NBD_EOVERFLOW);
	check_read(fixture, &talk, 0, 0, 512, 1, 0);
	talk_close(&talk);
}

static void rule_38_refusals_say_why(void **state)
{
	static const struct {
		uint16_t flags, type;
		uint64_t offset;
		uint32_t length;
		uint32_t error;
		const char *word;
	} cases[] = {
		{ 0, NBD_CMD_READ, MEMORY_SIZE, 1, NBD_EINVAL, "inside" },
		{ 0, NBD_CMD_WRITE_ZEROES, MEMORY_SIZE, 1, NBD_ENOSPC, "inside" },
		{ 0, NBD_CMD_READ, 1, 512, NBD_EINVAL, "aligned" },
		{ 0, NBD_CMD_READ, 0, UINT32_MAX, NBD_EOVERFLOW, "allows" },
		{ 0, NBD_CMD_FLUSH, 0, 1, NBD_EINVAL, "range" },
		{ 0, 99, 0, 1, NBD_EINVAL, "command" },
		{ 0, NBD_CMD_CACHE, 0, 512, NBD_EINVAL, "command" },
		{ 0, NBD_CMD_BLOCK_STATUS, 0, 512, NBD_EINVAL, "context" },
		{ NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 0, 512, NBD_EINVAL, "flag" },
	};
	struct server_fixture *fixture = *state;
	struct talk talk;

	server_disconnect(fixture)->device.block_minimum = 512;
	fixture->memory.ops.cache = NULL;
	server_reconnect(fixture);
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_BLOCK_SIZES);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(talk_ask(&talk, cases[i].flags, cases[i].type, cases[i].offset,
			cases[i].length), cases[i].error);
		assert_non_null(strstr(talk_error_text(), cases[i].word));
	}
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_30_read_only_export_says_so(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	server_disconnect(fixture)->device.read_only = true;
	server_reconnect(fixture);
	open_talk(fixture, &talk);
	assert_true(talk.flags & NBD_FLAG_READ_ONLY);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_TRIM, 0, 512), NBD_EPERM);
	assert_non_null(strstr(talk_error_text(), "read-only"));
	talk_close(&talk);
}

static void rule_38_errors_of_the_device_are_mapped_and_told(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	open_talk(fixture, &talk);
	atomic_store(&fixture->memory.result, -EDQUOT);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_TRIM, 0, 512), NBD_ENOSPC);
	assert_non_null(strstr(talk_error_text(), "quota"));
	atomic_store(&fixture->memory.result, -ENOTSUP);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_WRITE_ZEROES, 0, 512), NBD_EIO);
	talk_close(&talk);
}

static void rule_39_failed_read_has_no_content(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	memset(fixture->memory.bytes + 32 * GRAIN, 'd', GRAIN);
	open_talk(fixture, &talk);
	atomic_store(&fixture->memory.result, -EIO);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_READ, 0, 512), NBD_EIO);
	/* Chunks were laid out already. */
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_READ, 0, 64 * GRAIN), NBD_EIO);
	atomic_store(&fixture->memory.result, 0);
	check_read(fixture, &talk, 0, 0, 64 * GRAIN, 1, 2);
	assert_int_equal(talk_close(&talk), 0);
}

/* More of them than there are pages, failing and not. */
static void chunks_take_no_memory_for_long(void **state)
{
	enum { COUNT = 20000 };
	struct server_fixture *fixture = *state;
	struct chunk *chunk = malloc(sizeof(*chunk));
	struct talk talk;

	memset(fixture->memory.bytes + 8 * GRAIN, 'd', GRAIN);
	open_talk(fixture, &talk);
	for (int i = 0; i < COUNT; i++) {
		atomic_store(&fixture->memory.result, i % 2 ? -EIO : 0);
		talk_request(&talk, 0, NBD_CMD_READ, 1, 0, 9 * GRAIN);
		do
			talk_receive(&talk, chunk);
		while (!(chunk->flags & NBD_REPLY_FLAG_DONE));
	}
	atomic_store(&fixture->memory.result, 0);
	check_read(fixture, &talk, 0, 0, 64 * GRAIN, 1, 2);
	assert_int_equal(talk_close(&talk), 0);
	free(chunk);
}

static void late_reads_have_their_chunks(void **state)
{
	enum { COUNT = 8 };
	struct server_fixture *fixture = *state;
	struct chunk *chunk = malloc(sizeof(*chunk));
	unsigned int ended = 0, chunks = 0;
	struct talk talk;

	memset(fixture->memory.bytes + 8 * GRAIN, 'd', GRAIN);
	open_talk(fixture, &talk);
	atomic_store(&fixture->memory.hold, COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		talk_request(&talk, 0, NBD_CMD_READ, i, 0, 16 * GRAIN);
	while (ended < COUNT) {
		talk_receive(&talk, chunk);
		chunks++;
		ended += chunk->flags & NBD_REPLY_FLAG_DONE;
	}
	assert_int_equal(chunks, 3 * COUNT);
	assert_int_equal(talk_close(&talk), 0);
	free(chunk);
}

/* A READ that takes all the memory there is: no page is left to lay out chunks in. */
static void read_without_memory_for_chunks_is_one_chunk(void **state)
{
	const struct nbdt_server_options options = { .memory_limit = 1 };
	struct memory_device *big = calloc(1, sizeof(*big));
	unsigned char *payload = malloc(32 * MIB);
	struct nbd_structured_reply_header header;
	struct nbdt_server *server;
	struct talk talk;
	uint64_t offset;

	(void)state;
	memory_device_init(big, 32 * MIB);
	big->bytes[20 * MIB] = 1;
	assert_int_equal(nbdt_server_new(&options, &server, NULL), 0);
	assert_int_equal(nbdt_server_add_export(server, "disk", NULL, &big->device, NULL), 0);
	talk_open(&talk, server, TALK_STRUCTURED);
	talk_request(&talk, 0, NBD_CMD_READ, 1, 0, 32 * MIB);
	receive_bytes(talk.fd, &header, sizeof(header));
	assert_int_equal(wire_get16(&header.flags), NBD_REPLY_FLAG_DONE);
	assert_int_equal(wire_get16(&header.type), NBD_REPLY_TYPE_OFFSET_DATA);
	assert_int_equal(wire_get32(&header.length), 32 * MIB + 8);
	receive_bytes(talk.fd, &offset, sizeof(offset));
	receive_bytes(talk.fd, payload, 32 * MIB);
	assert_memory_equal(payload, big->bytes, 32 * MIB);
	assert_int_equal(talk_close(&talk), 0);
	nbdt_server_free(server);
	memory_device_destroy(big);
	free(big);
	free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(rule_21_structured_reply_takes_no_data),
		SERVER_TEST(rule_21_every_read_is_answered_with_chunks),
		SERVER_TEST(rule_21_other_commands_are_answered_with_a_chunk_too),
		SERVER_TEST(rule_21_df_is_clear_without_structured_replies),
		SERVER_TEST(rule_30_read_only_export_says_so),
		SERVER_TEST(rule_35_df_gets_one_chunk_of_content),
		SERVER_TEST(rule_35_read_over_the_maximum_is_eoverflow),
		SERVER_TEST(rule_38_refusals_say_why),
		SERVER_TEST(rule_38_errors_of_the_device_are_mapped_and_told),
		SERVER_TEST(rule_39_failed_read_has_no_content),
		SERVER_TEST(rule_41_read_has_chunks_of_data_and_of_holes),
		SERVER_TEST(rule_41_hole_is_not_read),
		SERVER_TEST(rule_41_more_extents_than_chunks_are_sent_as_data),
		SERVER_TEST(holes_are_not_looked_for_in_small_reads),
		SERVER_TEST(device_that_knows_no_holes_is_read),
		SERVER_TEST(chunks_take_no_memory_for_long),
		SERVER_TEST(late_reads_have_their_chunks),
		SERVER_TEST(read_without_memory_for_chunks_is_one_chunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
