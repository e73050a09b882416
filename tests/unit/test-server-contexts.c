/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata contexts and BLOCK_STATUS (rules 22 and 41). */
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
#define LIST NBD_OPT_LIST_META_CONTEXT
#define SET NBD_OPT_SET_META_CONTEXT
#define HOLE (NBD_STATE_HOLE | NBD_STATE_ZERO)

static const char *const allocation = "base:allocation";

static void begin_structured(struct server_fixture *fixture, struct talk *talk)
{
	talk_begin(talk, fixture->session.server);
	assert_int_equal(talk_try(talk, NBD_OPT_STRUCTURED_REPLY, NULL, 0), NBD_REP_ACK);
}

/* Contexts that one query finds; none is asked for NULL. */
static unsigned int find(struct talk *talk, uint32_t option, const char *query)
{
	unsigned int found;
	uint32_t id = 0;

	assert_int_equal(talk_contexts(talk, option, "disk", &query, query ? 1 : 0, &found, &id),
		NBD_REP_ACK);
	return found;
}

static bool has_status(struct talk *talk)
{
	static struct chunk chunk;

	talk_request(talk, 0, NBD_CMD_BLOCK_STATUS, 5, 0, GRAIN);
	talk_receive(talk, &chunk);
	if (chunk.type == NBD_REPLY_TYPE_BLOCK_STATUS)
		return true;
	assert_int_equal(chunk.type, NBD_REPLY_TYPE_ERROR);
	assert_int_equal(wire_get32(chunk.payload), NBD_EINVAL);
	return false;
}

static void rule_22_contexts_need_structured_replies(void **state)
{
	struct server_fixture *fixture = *state;
	unsigned int found;
	struct talk talk;
	uint32_t id;

	talk_begin(&talk, fixture->session.server);
	assert_int_equal(talk_contexts(&talk, SET, "disk", &allocation, 1, &found, &id),
		NBD_REP_ERR_INVALID);
	assert_int_equal(talk_contexts(&talk, LIST, "disk", &allocation, 1, &found, &id),
		NBD_REP_ERR_INVALID);
	assert_int_equal(found, 0);
	talk_close(&talk);
}

static void rule_22_no_query_lists_all_and_sets_none(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	begin_structured(fixture, &talk);
	assert_int_equal(find(&talk, LIST, NULL), 1);
	assert_int_equal(find(&talk, SET, NULL), 0);
	talk_go(&talk, "disk", false);
	assert_false(has_status(&talk));
	talk_close(&talk);
}

static void rule_22_base_is_a_wildcard_in_lists_alone(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	begin_structured(fixture, &talk);
	assert_int_equal(find(&talk, LIST, "base:"), 1);
	assert_int_equal(find(&talk, LIST, allocation), 1);
	assert_int_equal(find(&talk, SET, "base:"), 0);
	talk_go(&talk, "disk", false);
	assert_false(has_status(&talk));
	talk_close(&talk);
}

static void rule_22_unknown_queries_find_nothing(void **state)
{
	static const char *const queries[] = { "", ":", "base", "base:alloc", "base:allocations",
		"base:allocation ", "BASE:allocation", "qemu:dirty-bitmap:x", "x-local:" };
	struct server_fixture *fixture = *state;
	struct talk talk;

	begin_structured(fixture, &talk);
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		assert_int_equal(find(&talk, LIST, queries[i]), 0);
		assert_int_equal(find(&talk, SET, queries[i]), 0);
	}
	talk_close(&talk);
}

static void rule_22_context_is_found_once_by_several_queries(void **state)
{
	static const char *const queries[] = { "qemu:", "base:allocation", "base:",
		"base:allocation" };
	struct server_fixture *fixture = *state;
	unsigned int found;
	struct talk talk;
	uint32_t id;

	begin_structured(fixture, &talk);
	assert_int_equal(
		talk_contexts(&talk, LIST, "disk", queries, 4, &found, &id), NBD_REP_ACK);
	assert_int_equal(found, 1);
	assert_int_equal(id, 0);
	assert_int_equal(
		talk_contexts(&talk, SET, "disk", queries, 4, &found, &id), NBD_REP_ACK);
	assert_int_equal(found, 1);
	talk_go(&talk, "disk", false);
	assert_true(has_status(&talk));
	talk_close(&talk);
}

static void rule_22_set_replaces_the_selection(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	begin_structured(fixture, &talk);
	assert_int_equal(find(&talk, SET, allocation), 1);
	assert_int_equal(find(&talk, SET, "qemu:x"), 0);
	/* LIST replaces nothing. */
	assert_int_equal(find(&talk, LIST, allocation), 1);
	talk_go(&talk, "disk", false);
	assert_false(has_status(&talk));
	talk_close(&talk);
}

static void rule_22_failing_set_replaces_the_selection(void **state)
{
	struct server_fixture *fixture = *state;
	unsigned int found;
	struct talk talk;
	uint32_t id;

	for (int broken = 0; broken < 2; broken++) {
		begin_structured(fixture, &talk);
		assert_int_equal(find(&talk, SET, allocation), 1);
		if (broken)
			assert_int_equal(talk_try(&talk, SET, "\0\0\0", 3), NBD_REP_ERR_INVALID);
		else
			assert_int_equal(talk_contexts(&talk, SET, "none", &allocation, 1, &found,
				&id), NBD_REP_ERR_UNKNOWN);
		talk_go(&talk, "disk", false);
		assert_false(has_status(&talk));
		talk_close(&talk);
	}
}

static void rule_22_selection_is_for_one_export(void **state)
{
	struct server_fixture *fixture = *state;
	struct nbdt_server *server = fixture->session.server;
	struct memory_device other;
	struct talk talk;

	memory_device_init(&other, MEMORY_SIZE);
	server_disconnect(fixture);
	assert_int_equal(nbdt_server_add_export(server, "other", NULL, &other.device, NULL), 0);
	begin_structured(fixture, &talk);
	assert_int_equal(find(&talk, SET, allocation), 1);
	/* A GO that fails changes nothing. */
	assert_int_equal(talk_go(&talk, "none", false), NBD_REP_ERR_UNKNOWN);
	assert_int_equal(talk_go(&talk, "other", false), NBD_REP_ACK);
	assert_false(has_status(&talk));
	talk_close(&talk);
	begin_structured(fixture, &talk);
	assert_int_equal(find(&talk, SET, allocation), 1);
	assert_int_equal(talk_go(&talk, "none", false), NBD_REP_ERR_UNKNOWN);
	assert_int_equal(talk_go(&talk, "disk", false), NBD_REP_ACK);
	assert_true(has_status(&talk));
	talk_close(&talk);
	memory_device_destroy(&other);
}

static void rule_22_selection_holds_with_export_name(void **state)
{
	struct server_fixture *fixture = *state;
	unsigned char reply[10];
	struct talk talk;

	begin_structured(fixture, &talk);
	assert_int_equal(find(&talk, SET, allocation), 1);
	send_option(talk.fd, NBD_OPT_EXPORT_NAME, "disk", 4);
	receive_bytes(talk.fd, reply, sizeof(reply));
	assert_true(wire_get16(reply + 8) & NBD_FLAG_SEND_DF);
	assert_true(has_status(&talk));
	talk_close(&talk);
}

static void rule_22_query_that_overruns_the_option_is_invalid(void **state)
{
	static const struct {
		const char *data;
		size_t length;
	} cases[] = {
		{ "", 0 },
		{ "\0\0\0\4disk", 8 },
		{ "\0\0\0\4disk\0\0\0", 11 },
		{ "\0\0\0\4disk\0\0\0\1", 12 },
		{ "\0\0\0\4disk\0\0\0\1\0\0\0\1", 16 },
		{ "\0\0\0\4disk\0\0\0\1\377\377\377\377", 16 },
		{ "\0\0\0\4disk\0\0\0\1\177\377\377\377base:", 21 },
		{ "\0\0\0\4disk\0\0\0\1\0\0\0\5base", 20 },
		{ "\0\0\0\4disk\0\0\0\1\0\0\0\5base:x", 22 },
		{ "\0\0\0\4disk\377\377\377\377\0\0\0\5base:", 21 },
		{ "\0\0\0\4disk\0\0\0\0x", 13 },
		{ "\377\377\377\377disk\0\0\0\0", 12 },
		{ "\0\0\0\11disk\0\0\0\0", 12 },
	};
	struct server_fixture *fixture = *state;
	struct talk talk;

	begin_structured(fixture, &talk);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(talk_try(&talk, SET, cases[i].data, cases[i].length),
			NBD_REP_ERR_INVALID);
		assert_int_equal(talk_try(&talk, LIST, cases[i].data, cases[i].length),
			NBD_REP_ERR_INVALID);
	}
	assert_int_equal(find(&talk, LIST, allocation), 1);
	talk_close(&talk);
}

static void rule_22_device_that_knows_no_holes_has_no_context(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	server_disconnect(fixture)->ops.extents = NULL;
	server_reconnect(fixture);
	begin_structured(fixture, &talk);
	assert_int_equal(find(&talk, LIST, NULL), 0);
	assert_int_equal(find(&talk, SET, allocation), 0);
	talk_go(&talk, "disk", false);
	assert_false(has_status(&talk));
	talk_close(&talk);
}

static void rule_22_status_without_handshake_is_refused(void **state)
{
	struct server_fixture *fixture = *state;

	assert_int_equal(ask(fixture->fd, 0, NBD_CMD_BLOCK_STATUS, 0, 512), NBD_EINVAL);
	assert_true(in_step(fixture->fd));
}

/* A status whose extents are those expected, and no others. */
struct expectation {
	uint32_t length, flags;
};

static void check_status(struct talk *talk, uint16_t flags, uint64_t offset, uint32_t length,
	const struct expectation *expected, size_t count)
{
	static struct chunk chunk;

	talk_request(talk, flags, NBD_CMD_BLOCK_STATUS, 3, offset, length);
	talk_receive(talk, &chunk);
	assert_int_equal(chunk.type, NBD_REPLY_TYPE_BLOCK_STATUS);
	assert_int_equal(chunk.flags, NBD_REPLY_FLAG_DONE);
	assert_int_equal(chunk.length, 4 + 8 * count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(wire_get32(chunk.payload + 4 + 8 * i), expected[i].length);
		assert_int_equal(wire_get32(chunk.payload + 8 + 8 * i), expected[i].flags);
	}
}

static void rule_41_status_tells_data_and_holes(void **state)
{
	static const struct expectation all[] = { { 4 * GRAIN, HOLE }, { 8 * GRAIN, 0 },
		{ MEMORY_SIZE - 12 * GRAIN, HOLE } };
	static const struct expectation part[] = { { 511, 0 }, { 2, HOLE } };
	struct server_fixture *fixture = *state;
	struct talk talk;

	memset(fixture->memory.bytes + 4 * GRAIN, 'd', 8 * GRAIN);
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_ALLOCATION);
	check_status(&talk, 0, 0, MEMORY_SIZE, all, 3);
	check_status(&talk, 0, 12 * GRAIN - 511, 513, part, 2);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_41_req_one_gets_one_extent_inside_the_range(void **state)
{
	static const struct expectation hole[] = { { 4 * GRAIN, HOLE } };
	static const struct expectation data[] = { { 100, 0 } };
	struct server_fixture *fixture = *state;
	const uint16_t one = NBD_CMD_FLAG_REQ_ONE;
	struct talk talk;

	memset(fixture->memory.bytes + 4 * GRAIN, 'd', 8 * GRAIN);
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_ALLOCATION);
	check_status(&talk, one, 0, MEMORY_SIZE, hole, 1);
	check_status(&talk, one, 5 * GRAIN, 100, data, 1);
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_41_status_is_of_the_context_that_was_selected(void **state)
{
	struct server_fixture *fixture = *state;
	static struct chunk chunk;
	unsigned int found;
	struct talk talk;
	uint32_t id;

	begin_structured(fixture, &talk);
	assert_int_equal(
		talk_contexts(&talk, SET, "disk", &allocation, 1, &found, &id), NBD_REP_ACK);
	talk_go(&talk, "disk", false);
	talk_request(&talk, 0, NBD_CMD_BLOCK_STATUS, 3, 0, 512);
	talk_receive(&talk, &chunk);
	assert_int_equal(wire_get32(chunk.payload), id);
	talk_close(&talk);
}

static void rule_37_status_outside_the_export_is_refused(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;

	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_ALLOCATION);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_BLOCK_STATUS, MEMORY_SIZE, 1), NBD_EINVAL);
	assert_int_equal(
		talk_ask(&talk, 0, NBD_CMD_BLOCK_STATUS, 512, MEMORY_SIZE), NBD_EINVAL);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_BLOCK_STATUS, UINT64_MAX, 2), NBD_EINVAL);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_BLOCK_STATUS, 0, 0), NBD_EINVAL);
	assert_int_equal(talk_ask(&talk, NBD_CMD_FLAG_DF, NBD_CMD_BLOCK_STATUS, 0, 1), NBD_EINVAL);
	talk_close(&talk);
}

/* A device of holes and data by turns, without end, and in no memory. */
static int endless_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	size_t used = 0;

	(void)device, (void)flags;
	for (; used < *count && length; used++) {
		uint64_t size = 512 - offset % 512;

		size = size < length ? size : length;
		extents[used].length = size;
		extents[used].flags = offset / 512 % 2 ? 0 : HOLE;
		offset += size;
		length -= size;
	}
	*count = used;
	return 0;
}

static void rule_41_status_has_bounded_size(void **state)
{
	enum { COUNT = 100 };
	struct server_fixture *fixture = *state;
	static struct chunk chunk;
	struct talk talk;

	server_disconnect(fixture)->ops.extents = endless_extents;
	fixture->memory.device.size = UINT64_C(1) << 62;
	server_reconnect(fixture);
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_ALLOCATION);
	for (unsigned int i = 0; i < COUNT; i++)
		talk_request(&talk, 0, NBD_CMD_BLOCK_STATUS, i, 0, UINT32_MAX);
	for (unsigned int i = 0; i < COUNT; i++) {
		talk_receive(&talk, &chunk);
		assert_int_equal(chunk.type, NBD_REPLY_TYPE_BLOCK_STATUS);
		assert_in_range(chunk.length, 4 + 8 * 100, 4 + 8 * 4096);
	}
	assert_int_equal(talk_close(&talk), 0);
}

static int no_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	(void)device, (void)offset, (void)length, (void)flags, (void)extents, (void)count;
	return -EIO;
}

static void failing_device_fails_the_status_and_no_read(void **state)
{
	struct server_fixture *fixture = *state;
	static struct content content;
	struct talk talk;

	server_disconnect(fixture)->ops.extents = no_extents;
	server_reconnect(fixture);
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_ALLOCATION);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_BLOCK_STATUS, 0, 512), NBD_EIO);
	assert_int_equal(talk_read(&talk, 0, 0, MEMORY_SIZE, &content), 0);
	assert_int_equal(talk_close(&talk), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(rule_22_contexts_need_structured_replies),
		SERVER_TEST(rule_22_no_query_lists_all_and_sets_none),
		SERVER_TEST(rule_22_base_is_a_wildcard_in_lists_alone),
		SERVER_TEST(rule_22_unknown_queries_find_nothing),
		SERVER_TEST(rule_22_context_is_found_once_by_several_queries),
		SERVER_TEST(rule_22_set_replaces_the_selection),
		SERVER_TEST(rule_22_failing_set_replaces_the_selection),
		SERVER_TEST(rule_22_selection_is_for_one_export),
		SERVER_TEST(rule_22_selection_holds_with_export_name),
		SERVER_TEST(rule_22_query_that_overruns_the_option_is_invalid),
		SERVER_TEST(rule_22_device_that_knows_no_holes_has_no_context),
		SERVER_TEST(rule_22_status_without_handshake_is_refused),
		SERVER_TEST(rule_37_status_outside_the_export_is_refused),
		SERVER_TEST(rule_41_status_tells_data_and_holes),
		SERVER_TEST(rule_41_req_one_gets_one_extent_inside_the_range),
		SERVER_TEST(rule_41_status_is_of_the_context_that_was_selected),
		SERVER_TEST(rule_41_status_has_bounded_size),
		SERVER_TEST(failing_device_fails_the_status_and_no_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
