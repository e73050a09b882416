/* SPDX-License-Identifier: Apache-2.0 */
/* NBD_CMD_BLOCK_STATUS from the client's side: what its caller is told. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "wire.h"

#define DONE NBD_REPLY_FLAG_DONE
#define SIZE (1024u * 1024)
#define GIB (UINT64_C(1) << 30)
#define NAME "base:allocation"
#define OTHER "qemu:dirty-bitmap:a"

/* What EACH was told, as text. */
struct told {
	char text[1024];
	unsigned int count;
	unsigned int stop_at; /* at which call EACH returns 7; 0: never */
};

static int note(const char *context, uint64_t offset, const struct nbdt_extent *extent, void *arg)
{
	struct told *told = arg;
	size_t length = told->count < 20 ? strlen(told->text) : sizeof(told->text);

	if (length < sizeof(told->text) - 100)
		snprintf(told->text + length, sizeof(told->text) - length,
			"%.1s %" PRIu64 " %" PRIu64 " %" PRIx64 "\n", context, offset,
			extent->length, extent->flags);
	return ++told->count == told->stop_at ? 7 : 0;
}

static int ask(struct fixture *fixture, struct told *told, uint64_t offset, uint64_t length,
	unsigned int flags)
{
	return nbdt_client_block_status(
		fixture->client, offset, length, flags, note, told, &fixture->err);
}

static void begin(struct fixture *fixture, enum script_replies replies, uint64_t size)
{
	script_agree(fixture->script, replies);
	script_select(fixture->script, NAME, 9);
	script_go(fixture->script, size, FIXTURE_ALL_FLAGS);
}

static void expect(struct script *script, uint16_t flags, uint64_t offset, uint64_t length)
{
	script_expect_request(script, NBD_CMD_BLOCK_STATUS, flags, offset, length);
}

/* Asks for all of the range in a conversation that is otherwise complete. */
static void check_told(struct fixture *fixture, uint64_t offset, uint64_t length,
	unsigned int flags, const char *expected)
{
	struct told told = { .count = 0 };

	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NAME);
	if (ask(fixture, &told, offset, length, flags))
		fail_msg("%s", fixture->err.text);
	assert_string_equal(told.text, expected);
	fixture_finish(fixture);
}

static void extents_are_told_with_their_places(void **state)
{
	static const struct nbdt_extent extents[] = { { 512, 0 }, { 1024, 3 }, { 2560, 2 } };
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_STRUCTURED, SIZE);
	expect(fixture->script, 0, 4096, 4096);
	script_status(fixture->script, 1, DONE, 9, extents, 3);
	check_told(fixture, 4096, 4096, 0, "b 4096 512 0\nb 4608 1024 3\nb 5632 2560 2\n");
}

/* Within a chunk, and from one request to the next. */
static void rule_41_equal_neighbours_are_merged(void **state)
{
	static const struct nbdt_extent first[] = { { 512, 3 }, { 512, 3 }, { 512, 0 } };
	static const struct nbdt_extent second[] = { { 512, 0 }, { 1024, 0 }, { 1024, 3 } };
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_STRUCTURED, SIZE);
	expect(fixture->script, 0, 0, 4096);
	script_status(fixture->script, 1, DONE, 9, first, 3);
	expect(fixture->script, 0, 1536, 2560);
	script_status(fixture->script, 2, DONE, 9, second, 3);
	check_told(fixture, 0, 4096, 0, "b 0 1024 3\nb 1024 2048 0\nb 3072 1024 3\n");
}

static void rule_41_last_extent_may_go_beyond_the_range(void **state)
{
	static const struct nbdt_extent extents[] = { { 512, 0 }, { UINT32_MAX, 3 } };
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_STRUCTURED, SIZE);
	expect(fixture->script, 0, 512, 1024);
	script_status(fixture->script, 1, DONE, 9, extents, 2);
	check_told(fixture, 512, 1024, 0, "b 512 512 0\nb 1024 512 3\n");
}

static void rule_41_extended_extent_may_go_beyond_2_to_64(void **state)
{
	static const struct nbdt_extent extents[] = { { 512, 0 }, { UINT64_MAX, UINT64_MAX } };
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_EXTENDED, INT64_MAX);
	expect(fixture->script, 0, INT64_MAX - 1024, 1024);
	script_status(fixture->script, 1, DONE, 9, extents, 2);
	check_told(fixture, INT64_MAX - 1024, 1024, 0,
		"b 9223372036854774783 512 0\nb 9223372036854775295 512 ffffffffffffffff\n");
}

static void rule_41_req_one_asks_once(void **state)
{
	static const struct nbdt_extent extent = { 512, 3 };
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_STRUCTURED, SIZE);
	expect(fixture->script, NBD_CMD_FLAG_REQ_ONE, 0, 4096);
	script_status(fixture->script, 1, DONE, 9, &extent, 1);
	check_told(fixture, 0, 4096, NBDT_CMD_FLAG_REQ_ONE, "b 0 512 3\n");
}

/* 32 bits are asked about at a time; what a server tells more is taken. */
static void compact_requests_are_cut_at_1_gib(void **state)
{
	static const struct nbdt_extent extents[] = { { GIB, 3 }, { 3 * GIB, 3 }, { GIB, 0 } };
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_STRUCTURED, 5 * GIB);
	expect(fixture->script, 0, 0, GIB);
	script_status(fixture->script, 1, DONE, 9, extents, 1);
	expect(fixture->script, 0, GIB, GIB);
	script_status(fixture->script, 2, DONE, 9, extents + 1, 1);
	expect(fixture->script, 0, 4 * GIB, GIB);
	script_status(fixture->script, 3, DONE, 9, extents + 2, 1);
	check_told(fixture, 0, 5 * GIB, 0, "b 0 4294967296 3\nb 4294967296 1073741824 0\n");
}

static void rule_23_extended_requests_are_not_cut(void **state)
{
	static const struct nbdt_extent extents[] = { { 4 * GIB, 3 }, { GIB, 0 } };
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_EXTENDED, 5 * GIB);
	expect(fixture->script, 0, 0, 5 * GIB);
	script_status(fixture->script, 1, DONE, 9, extents, 2);
	check_told(fixture, 0, 5 * GIB, 0, "b 0 4294967296 3\nb 4294967296 1073741824 0\n");
}

/* Requests are aligned even if extents are not. */
static void rule_25_requests_go_on_at_whole_blocks(void **state)
{
	static const struct nbdt_extent first[] = { { 5000, 3 } };
	static const struct nbdt_extent second[] = { { 904, 3 }, { 3192, 0 } };
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_select(fixture->script, NAME, 9);
	script_go_with_blocks(fixture->script, SIZE, FIXTURE_ALL_FLAGS, 4096, 4096, SIZE);
	expect(fixture->script, 0, 0, 8192);
	script_status(fixture->script, 1, DONE, 9, first, 1);
	expect(fixture->script, 0, 4096, 4096);
	script_status(fixture->script, 2, DONE, 9, second, 2);
	check_told(fixture, 0, 8192, 0, "b 0 5000 3\nb 5000 3192 0\n");
}

static void check_two_contexts(struct fixture *fixture, const char *expected)
{
	static const char *const names[] = { NAME, OTHER };
	struct told told = { .count = 0 };

	script_expect_disconnect(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(nbdt_client_set_contexts(fixture->client, "disk", names, 2, NULL), 0);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	if (ask(fixture, &told, 0, 4096, 0))
		fail_msg("%s", fixture->err.text);
	assert_string_equal(told.text, expected);
	fixture_finish(fixture);
}

/* The server tells less of one than of the other, and in any order. */
static void contexts_are_each_told_without_gaps(void **state)
{
	static const char *const names[] = { NAME, OTHER };
	static const struct nbdt_extent all[] = { { 512, 1 }, { 512, 0 }, { 3072, 1 } };
	static const struct nbdt_extent half[] = { { 2048, 0 } };
	static const struct nbdt_extent last[] = { { 1024, 1 }, { 1024, 0 } };
	static const struct nbdt_extent again[] = { { 512, 1 }, { 512, 0 }, { 1024, 1 } };
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_agree(script, SCRIPT_STRUCTURED);
	script_expect_queries(script, NBD_OPT_SET_META_CONTEXT, names, 2);
	script_context(script, NBD_OPT_SET_META_CONTEXT, 1, OTHER);
	script_context(script, NBD_OPT_SET_META_CONTEXT, 2, NAME);
	script_ack(script, NBD_OPT_SET_META_CONTEXT);
	script_go(script, SIZE, FIXTURE_ALL_FLAGS);
	expect(script, 0, 0, 4096);
	script_status(script, 1, 0, 2, half, 1);
	script_status(script, 1, 0, 1, all, 3);
	script_none(script, 1);
	expect(script, 0, 2048, 2048);
	script_status(script, 2, 0, 1, again, 3);
	script_status(script, 2, DONE, 2, last, 2);
	check_two_contexts(fixture,
		"q 0 512 1\nq 512 512 0\nb 0 2048 0\nb 2048 1024 1\nq 1024 3072 1\n"
		"b 3072 1024 0\n");
}

static void callback_stops_without_harm(void **state)
{
	static const struct nbdt_extent extents[] = { { 512, 0 }, { 512, 3 }, { 512, 0 },
		{ 512, 3 } };
	struct fixture *fixture = *state;
	struct told told = { .stop_at = 2 };

	begin(fixture, SCRIPT_EXTENDED, SIZE);
	expect(fixture->script, 0, 0, 4096);
	script_status(fixture->script, 1, 0, 9, extents, 4);
	script_none(fixture->script, 1);
	expect(fixture->script, 0, 512, 512);
	script_status(fixture->script, 2, DONE, 9, extents + 1, 1);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NAME);
	assert_int_equal(ask(fixture, &told, 0, 4096, 0), 7);
	assert_int_equal(told.count, 2);
	/* Also when it is told the last one. */
	told = (struct told){ .stop_at = 1 };
	assert_int_equal(ask(fixture, &told, 512, 512, 0), 7);
	fixture_finish(fixture);
}

static void errors_are_told(void **state)
{
	static const struct nbdt_extent extents[] = { { 512, 0 }, { 512, 3 } };
	struct fixture *fixture = *state;
	struct told told = { .count = 0 };

	begin(fixture, SCRIPT_STRUCTURED, SIZE);
	expect(fixture->script, 0, 0, 4096);
	script_status(fixture->script, 1, 0, 9, extents, 2);
	script_error(fixture->script, 1, DONE, NBD_EIO, "no idea");
	expect(fixture->script, 0, 0, 4096);
	script_simple_reply(fixture->script, 2, NBD_EINVAL);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NAME);
	assert_int_equal(ask(fixture, &told, 0, 4096, 0), -EIO);
	assert_non_null(strstr(fixture->err.text,
		"BLOCK_STATUS of 4096 bytes at offset 0 failed: Input/output error: no idea"));
	assert_int_equal(ask(fixture, &told, 0, 4096, 0), -EINVAL);
	fixture_finish(fixture);
}

/* A repeated chunk of 2^20 extents, which is the most that is taken. */
static void many_extents_need_little_memory(void **state)
{
	const unsigned int count = 1024 * 1024;
	struct fixture *fixture = *state;
	struct told told = { .stop_at = count };
	unsigned char descriptors[sizeof(struct nbd_block_descriptor) * 8192];

	for (size_t i = 0; i < sizeof(descriptors) / 8; i++) {
		wire_put32(descriptors + 8 * i, 1);
		wire_put32(descriptors + 8 * i + 4, i % 2);
	}
	begin(fixture, SCRIPT_STRUCTURED, SIZE + 1);
	expect(fixture->script, 0, 0, SIZE + 1);
	script_chunk_header(
		fixture->script, 1, 0, NBD_REPLY_TYPE_BLOCK_STATUS, 4 + 8 * (uint64_t)count);
	script_add(fixture->script, SCRIPT_SEND, "\0\0\0\x09", 4);
	script_add(fixture->script, SCRIPT_FLOOD, descriptors, sizeof(descriptors));
	fixture_go(fixture, NAME);
	/* After it the flood has no place: the wrong magic shows that all was taken till then. */
	assert_int_equal(ask(fixture, &told, 0, SIZE + 1, 0), -EPROTO);
	assert_non_null(strstr(fixture->err.text, "magic 0x1"));
	assert_int_equal(told.count, count - 1);
	fixture_finish(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(extents_are_told_with_their_places),
		TEST(rule_41_equal_neighbours_are_merged),
		TEST(rule_41_last_extent_may_go_beyond_the_range),
		TEST(rule_41_extended_extent_may_go_beyond_2_to_64),
		TEST(rule_41_req_one_asks_once),
		TEST(compact_requests_are_cut_at_1_gib),
		TEST(rule_23_extended_requests_are_not_cut),
		TEST(rule_25_requests_go_on_at_whole_blocks),
		TEST(contexts_are_each_told_without_gaps),
		TEST(callback_stops_without_harm),
		TEST(errors_are_told),
		TEST(many_extents_need_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
