/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that are wrong, each in structured and in extended shape: the client names what is wrong
 * at once, and uses the connection no more.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "wire.h"

#define OFFSET FIXTURE_OFFSET
#define LENGTH FIXTURE_LENGTH
#define DONE NBD_REPLY_FLAG_DONE
#define DATA NBD_REPLY_TYPE_OFFSET_DATA
#define HOLE NBD_REPLY_TYPE_OFFSET_HOLE
#define ERROR NBD_REPLY_TYPE_ERROR
#define ERROR_OFFSET NBD_REPLY_TYPE_ERROR_OFFSET
#define CONTEXT FIXTURE_CONTEXT

/* Integers as they are on the wire. */
#define BE16(v) (unsigned char)((v) >> 8), (unsigned char)((v) & 0xff)
#define BE32(v) BE16((uint32_t)(v) >> 16), BE16((uint32_t)(v) & 0xffff)
#define BE64(v) BE32((uint64_t)(v) >> 32), BE32((uint64_t)(v) & 0xffffffff)

struct chunk {
	uint16_t type, flags;
	uint64_t length; /* of the payload, which has BYTES, and zeroes up to 64 bytes at most */
	unsigned char bytes[40];
};

struct wrong {
	enum command command;
	unsigned int flags; /* of the request */
	const char *said;
	struct chunk chunks[3]; /* up to one that is all 0 */
};

static void add_chunk(struct script *script, uint64_t cookie, const struct chunk *chunk)
{
	unsigned char payload[64] = { 0 };
	size_t sent = chunk->length < sizeof(payload) ? (size_t)chunk->length : sizeof(payload);

	memcpy(payload, chunk->bytes, sizeof(chunk->bytes));
	script_chunk_header(script, cookie, chunk->flags, chunk->type, chunk->length);
	script_add(script, SCRIPT_SEND, payload, sent);
}

static void check_wrong(const struct wrong *wrong, enum script_replies replies)
{
	void *each;

	fixture_set_up(&each);
	struct fixture *fixture = each;
	uint64_t cookie = fixture_begin(fixture->script, replies, wrong->command, wrong->flags);
	for (size_t i = 0; i < 3 && (wrong->chunks[i].type || wrong->chunks[i].flags
			|| wrong->chunks[i].length); i++)
		add_chunk(fixture->script, cookie, &wrong->chunks[i]);
	fixture_check_broken(fixture, wrong->said, wrong->command, wrong->flags, wrong->said);
	fixture_tear_down(&each);
}

static void check_all(const struct wrong *wrong, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (enum script_replies replies = SCRIPT_STRUCTURED; replies <= SCRIPT_EXTENDED;
			replies++)
			check_wrong(&wrong[i], replies);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void rule_41_lengths_of_chunks_are_checked(void **state)
{
	static const struct wrong wrong[] = {
		{ PREAD, 0, "an empty chunk with data", { { 0, DONE, 1, { 0 } } } },
		{ PREAD, 0, "an empty chunk with data", { { 0, DONE, UINT32_MAX, { 0 } } } },
		{ FLUSH, 0, "an empty chunk with data", { { 0, DONE, 4, { 0 } } } },
		{ PREAD, 0, "a data chunk without data", { { DATA, DONE, 0, { 0 } } } },
		{ PREAD, 0, "a data chunk without data", { { DATA, DONE, 1, { 0 } } } },
		{ PREAD, 0, "a data chunk without data", { { DATA, DONE, 8, { BE64(OFFSET) } } } },
		{ PREAD, 0, "data from elsewhere",
			{ { DATA, DONE, 8 + LENGTH + 1, { BE64(OFFSET) } } } },
		{ PREAD, 0, "data from elsewhere",
			{ { DATA, DONE, 0x7fffffff, { BE64(OFFSET) } } } },
		{ PREAD, 0, "data from elsewhere",
			{ { DATA, DONE, UINT32_MAX, { BE64(OFFSET) } } } },
		{ PREAD, 0, "a hole of a wrong length", { { HOLE, DONE, 0, { 0 } } } },
		{ PREAD, 0, "a hole of a wrong length",
			{ { HOLE, DONE, 11, { BE64(OFFSET), BE32(LENGTH) } } } },
		{ PREAD, 0, "a hole of a wrong length",
			{ { HOLE, DONE, 13, { BE64(OFFSET), BE32(LENGTH) } } } },
		{ PREAD, 0, "a hole of a wrong length", { { HOLE, DONE, UINT32_MAX, { 0 } } } },
		{ PREAD, 0, "an error chunk of a wrong length", { { ERROR, DONE, 0, { 0 } } } },
		{ PREAD, 0, "an error chunk of a wrong length",
			{ { ERROR, DONE, 5, { BE32(NBD_EIO) } } } },
		{ PREAD, 0, "an error chunk of a wrong length",
			{ { ERROR, DONE, UINT32_MAX, { BE32(NBD_EIO) } } } },
		{ PREAD, 0, "an error chunk of a wrong length",
			{ { 0xabcd, DONE, 3, { BE32(NBD_EIO) } } } },
		{ PREAD, 0, "whose text is too long",
			{ { ERROR, DONE, 6 + 2, { BE32(NBD_EIO), BE16(3) } } } },
		{ PREAD, 0, "whose text is too long",
			{ { ERROR, DONE, 6, { BE32(NBD_EIO), BE16(0xffff) } } } },
		{ PREAD, 0, "whose text is too long",
			{ { ERROR_OFFSET, DONE, 13, { BE32(NBD_EIO), BE16(0) } } } },
		{ PREAD, 0, "whose text is too long",
			{ { ERROR_OFFSET, DONE, 14, { BE32(NBD_EIO), BE16(1), BE64(OFFSET) } } } },
		{ PREAD, 0, "whose text is too long",
			{ { 0xabcd, DONE, 6, { BE32(NBD_EIO), BE16(1) } } } },
	};

	(void)state;
	check_all(wrong, COUNT(wrong));
}

/* "MUST NOT exceed the 4096 bytes string length limit", even if there is room. */
static void rule_1_error_texts_have_at_most_4096_bytes(void **state)
{
	static unsigned char payload[6 + 4097];

	(void)state;
	wire_put32(payload, NBD_EIO);
	for (uint16_t length = 4096; length <= 4097; length++) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		uint64_t cookie = fixture_begin(fixture->script, SCRIPT_STRUCTURED, FLUSH, 0);
		wire_put16(payload + 4, length);
		script_chunk_header(fixture->script, cookie, DONE, ERROR, sizeof(payload));
		script_add(fixture->script, SCRIPT_SEND, payload, sizeof(payload));
		if (length > 4096) {
			fixture_check_broken(fixture, "text", FLUSH, 0, "whose text is too long");
		} else {
			script_expect_disconnect(fixture->script);
			fixture_go(fixture, "base:allocation");
			assert_int_equal(fixture_issue(fixture, FLUSH, 0, 0, 0), -EIO);
			fixture_finish(fixture);
		}
		fixture_tear_down(&each);
	}
}

static void rule_41_content_is_inside_whole_and_once(void **state)
{
	static const struct chunk all = { DATA, 0, 8 + LENGTH, { BE64(OFFSET) } };
	const struct wrong wrong[] = {
		{ PREAD, 0, "data from elsewhere", { { DATA, 0, 9, { BE64(OFFSET - 1) } } } },
		{ PREAD, 0, "data from elsewhere", { { DATA, 0, 9, { BE64(OFFSET + LENGTH) } } } },
		{ PREAD, 0, "data from elsewhere", { { DATA, 0, 10, { BE64(OFFSET + 15) } } } },
		{ PREAD, 0, "data from elsewhere", { { DATA, 0, 9, { BE64(0) } } } },
		{ PREAD, 0, "data from elsewhere", { { DATA, 0, 9, { BE64(UINT64_MAX) } } } },
		{ PREAD, 0, "data from elsewhere",
			{ { HOLE, 0, 12, { BE64(OFFSET), BE32(LENGTH + 1) } } } },
		{ PREAD, 0, "data from elsewhere",
			{ { HOLE, 0, 12, { BE64(OFFSET + 1), BE32(LENGTH) } } } },
		{ PREAD, 0, "data from elsewhere",
			{ { HOLE, 0, 12, { BE64(OFFSET), BE32(UINT32_MAX) } } } },
		{ PREAD, 0, "data from elsewhere",
			{ { HOLE, 0, 12, { BE64(UINT64_MAX - 3), BE32(8) } } } },
		{ PREAD, 0, "a hole of 0 bytes", { { HOLE, 0, 12, { BE64(OFFSET), BE32(0) } } } },
		{ PREAD, 0, "overlapping data", { all, all } },
		{ PREAD, 0, "overlapping data",
			{ all, { HOLE, 0, 12, { BE64(OFFSET + 15), BE32(1) } } } },
		{ PREAD, 0, "overlapping data",
			{ { HOLE, 0, 12, { BE64(OFFSET + 4), BE32(4) } }, all } },
		{ PREAD, 0, "not all of the data", { { 0, DONE, 0, { 0 } } } },
		{ PREAD, 0, "not all of the data",
			{ { DATA, DONE, 8 + LENGTH - 1, { BE64(OFFSET) } } } },
		{ PREAD, 0, "not all of the data",
			{ { HOLE, DONE, 12, { BE64(OFFSET + 1), BE32(LENGTH - 1) } } } },
		{ PREAD, 0, "not all of the data",
			{ { HOLE, 0, 12, { BE64(OFFSET), BE32(7) } },
				{ HOLE, DONE, 12, { BE64(OFFSET + 8), BE32(8) } } } },
		/* It must be told before an error is. */
		{ PREAD, 0, "overlapping data",
			{ { ERROR_OFFSET, 0, 14, { BE32(NBD_EIO), BE16(0), BE64(OFFSET + 3) } },
				all } },
		{ PREAD, NBDT_CMD_FLAG_DF, "more than one piece of data",
			{ { DATA, 0, 9, { BE64(OFFSET) } },
				{ DATA, 0, 9, { BE64(OFFSET + 1) } } } },
		{ PREAD, NBDT_CMD_FLAG_DF, "more than one piece of data",
			{ { DATA, 0, 9, { BE64(OFFSET) } },
				{ HOLE, 0, 12, { BE64(OFFSET + 1), BE32(15) } } } },
	};

	(void)state;
	check_all(wrong, COUNT(wrong));
}

static void rule_41_errors_make_sense(void **state)
{
	static const struct wrong wrong[] = {
		{ PREAD, 0, "an error of 0", { { ERROR, DONE, 6, { BE32(0), BE16(0) } } } },
		{ TRIM, 0, "an error of 0",
			{ { ERROR_OFFSET, DONE, 14, { BE32(0), BE16(0), BE64(OFFSET) } } } },
		{ PREAD, 0, "an error elsewhere",
			{ { ERROR_OFFSET, DONE, 14,
				{ BE32(NBD_EIO), BE16(0), BE64(OFFSET - 1) } } } },
		{ PWRITE, 0, "an error elsewhere",
			{ { ERROR_OFFSET, DONE, 14,
				{ BE32(NBD_EIO), BE16(0), BE64(OFFSET + LENGTH) } } } },
		{ STATUS, 0, "an error elsewhere",
			{ { ERROR_OFFSET, DONE, 14,
				{ BE32(NBD_EIO), BE16(0), BE64(UINT64_MAX) } } } },
	};

	(void)state;
	check_all(wrong, COUNT(wrong));
}

static void rule_41_done_is_on_the_last_chunk_alone(void **state)
{
	static const struct wrong wrong[] = {
		{ PREAD, 0, "is not the last", { { 0, 0, 0, { 0 } }, { 0, DONE, 0, { 0 } } } },
		{ FLUSH, 0, "is not the last", { { 0, 0xfffe, 0, { 0 } } } },
		/* What follows belongs to no request. */
		{ PREAD, 0, "not all of the data",
			{ { DATA, DONE, 9, { BE64(OFFSET) } },
				{ DATA, DONE, 8 + 15, { BE64(OFFSET + 1) } } } },
	};

	(void)state;
	/* The first has no chunk for check_wrong() to see: its type, flags and length are all 0. */
	for (enum script_replies replies = SCRIPT_STRUCTURED; replies <= SCRIPT_EXTENDED;
		replies++) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		uint64_t cookie = fixture_begin(fixture->script, replies, PREAD, 0);
		add_chunk(fixture->script, cookie, &wrong[0].chunks[0]);
		fixture_check_broken(fixture, "empty chunk", PREAD, 0, wrong[0].said);
		fixture_tear_down(&each);
	}
	check_all(wrong + 1, COUNT(wrong) - 1);
}

static void rule_41_chunks_fit_their_requests(void **state)
{
	static const enum command commands[] = { PWRITE, FLUSH, TRIM, ZERO, CACHE, STATUS };
	struct wrong wrong[] = {
		{ PWRITE, 0, "data that nobody asked for",
			{ { DATA, DONE, 8 + LENGTH, { BE64(OFFSET) } } } },
		{ PWRITE, 0, "data that nobody asked for",
			{ { HOLE, DONE, 12, { BE64(OFFSET), BE32(LENGTH) } } } },
		{ PWRITE, 0, "unknown type", { { 3, DONE, 0, { 0 } } } },
		{ PWRITE, 0, "unknown type", { { 4, 0, 0, { 0 } } } },
		{ PWRITE, 0, "unknown type", { { 0x7fff, DONE, 8, { 0 } } } },
		/* In both shapes, one of which is the right one for BLOCK_STATUS. */
		{ PWRITE, 0, "block status", { { NBD_REPLY_TYPE_BLOCK_STATUS, DONE, 12, { 0 } } } },
		{ PWRITE, 0, "block status",
			{ { NBD_REPLY_TYPE_BLOCK_STATUS_EXT, DONE, 24, { 0 } } } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(commands); i++) {
		bool status = commands[i] == STATUS;

		for (size_t j = 0; j < COUNT(wrong); j++)
			wrong[j].command = commands[i];
		check_all(wrong, COUNT(wrong) - (status ? 2 : 0));
	}
}

static void send_status(struct script *script, uint64_t cookie, uint16_t flags, uint32_t context,
	uint64_t first, uint64_t second)
{
	const struct nbdt_extent extents[] = { { first, 0 }, { second, 1 } };

	script_status(script, cookie, flags, context, extents, second ? 2 : 1);
}

static void rule_41_block_status_is_checked(void **state)
{
	static const struct {
		unsigned int flags;
		const char *said;
		uint32_t contexts[2];
		uint64_t lengths[2];
	} wrong[] = {
		{ 0, "was not selected", { CONTEXT + 1 }, { LENGTH } },
		{ 0, "the same metadata context twice", { CONTEXT, CONTEXT }, { LENGTH } },
		{ 0, "extents beyond what was asked for", { CONTEXT }, { LENGTH, 1 } },
		{ 0, "extents beyond what was asked for", { CONTEXT }, { UINT32_MAX, UINT32_MAX } },
		{ NBDT_CMD_FLAG_REQ_ONE, "more than one extent", { CONTEXT }, { 1, 1 } },
		{ NBDT_CMD_FLAG_REQ_ONE, "an extent that is too long", { CONTEXT },
			{ LENGTH + 1 } },
		{ 0, "an extent of 0 bytes", { CONTEXT }, { 0, 1 } },
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(wrong); i++) {
		enum script_replies replies = i % 2 ? SCRIPT_EXTENDED : SCRIPT_STRUCTURED;
		size_t which = i / 2;
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		uint64_t cookie = fixture_begin(
			fixture->script, replies, STATUS, wrong[which].flags);
		for (size_t j = 0; j < 2 && wrong[which].contexts[j]; j++)
			send_status(fixture->script, cookie, 0, wrong[which].contexts[j],
				wrong[which].lengths[0], wrong[which].lengths[1]);
		fixture_check_broken(fixture, wrong[which].said, STATUS, wrong[which].flags,
			wrong[which].said);
		fixture_tear_down(&each);
	}
}

static void rule_41_lengths_of_block_status_are_checked(void **state)
{
	static const struct {
		enum script_replies replies;
		struct wrong wrong;
	} cases[] = {
#define COMPACT(said, length) { SCRIPT_STRUCTURED, { STATUS, 0, (said), \
	{ { NBD_REPLY_TYPE_BLOCK_STATUS, DONE, (length), { BE32(CONTEXT) } } } } }
#define EXTENDED(said, length, count) { SCRIPT_EXTENDED, { STATUS, 0, (said), \
	{ { NBD_REPLY_TYPE_BLOCK_STATUS_EXT, DONE, (length), { BE32(CONTEXT), BE32(count) } } } } }
		COMPACT("block status of a wrong length", 0),
		COMPACT("block status of a wrong length", 3),
		COMPACT("block status of a wrong length", 4),
		COMPACT("block status of a wrong length", 11),
		COMPACT("block status of a wrong length", 13),
		COMPACT("block status of a wrong length", UINT32_MAX),
		COMPACT("more than 2^20 extents", 4 + 8 * (1024 * 1024 + 1)),
		COMPACT("more than 2^20 extents", 0xfffffffc),
		COMPACT("an extent of 0 bytes", 12),
		EXTENDED("block status of a wrong length", 0, 0),
		EXTENDED("block status of a wrong length", 8, 0),
		EXTENDED("block status of a wrong length", 23, 1),
		EXTENDED("block status of a wrong length", 25, 1),
		EXTENDED("block status of a wrong length", UINT64_MAX, 1),
		EXTENDED("a wrong number of extents", 24, 0),
		EXTENDED("a wrong number of extents", 24, 2),
		EXTENDED("a wrong number of extents", 24, 0x10000001),
		EXTENDED("more than 2^20 extents", 8 + 16 * (1024 * 1024 + 1), 1024 * 1024 + 1),
		EXTENDED("more than 2^20 extents", 0xfffffffffffffff8, 0xffffffff),
		EXTENDED("an extent of 0 bytes", 24, 1),
		/* The kind that belongs to the other shape. */
		{ SCRIPT_STRUCTURED, { STATUS, 0, "block status of the wrong kind",
			{ { NBD_REPLY_TYPE_BLOCK_STATUS_EXT, DONE, 24, { BE32(CONTEXT) } } } } },
		{ SCRIPT_EXTENDED, { STATUS, 0, "block status of the wrong kind",
			{ { NBD_REPLY_TYPE_BLOCK_STATUS, DONE, 12, { BE32(CONTEXT) } } } } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		check_wrong(&cases[i].wrong, cases[i].replies);
}

static void rule_41_every_context_is_told(void **state)
{
	static const struct wrong wrong[] = {
		{ STATUS, 0, "not all of the metadata contexts", { { 0, DONE, 0, { 0 } } } },
	};

	(void)state;
	check_all(wrong, COUNT(wrong));
}

/* Requests in flight have the cookies from 1 on. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_41_lengths_of_chunks_are_checked),
		cmocka_unit_test(rule_1_error_texts_have_at_most_4096_bytes),
		cmocka_unit_test(rule_41_content_is_inside_whole_and_once),
		cmocka_unit_test(rule_41_errors_make_sense),
		cmocka_unit_test(rule_41_done_is_on_the_last_chunk_alone),
		cmocka_unit_test(rule_41_chunks_fit_their_requests),
		cmocka_unit_test(rule_41_block_status_is_checked),
		cmocka_unit_test(rule_41_lengths_of_block_status_are_checked),
		cmocka_unit_test(rule_41_every_context_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
