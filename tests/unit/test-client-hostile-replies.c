/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that stop, stall or lie anywhere in the transmission phase, or on the way into it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "hostile-server.h"

#define DONE NBD_REPLY_FLAG_DONE
#define LENGTH 64u /* bytes that are read and written */

static const char *const context = "base:allocation";
static unsigned char buffer[LENGTH];

static void add_read(struct script *script)
{
	uint64_t cookie = script_expect_request(script, NBD_CMD_READ, 0, 512, LENGTH);

	if (script->replies == SCRIPT_SIMPLE) {
		script_answer_read(script, cookie, 512, buffer, LENGTH);
		return;
	}
	script_hole(script, cookie, 0, 528, 8);
	script_data(script, cookie, 0, 536, buffer, LENGTH - 24);
	script_data(script, cookie, DONE, 512, buffer, 16);
}

static void add_failure(struct script *script)
{
	uint64_t cookie = script_expect_request(script, NBD_CMD_READ, 0, 0, LENGTH);

	if (script->replies == SCRIPT_SIMPLE) {
		script_simple_reply(script, cookie, NBD_EIO);
		return;
	}
	script_error_offset(script, cookie, 0, NBD_EIO, "where", 3);
	script_error(script, cookie, DONE, NBD_EIO, "what");
}

static void add_status(struct script *script)
{
	static const struct nbdt_extent extents[] = { { 512, 0 }, { 1024, 3 } };

	uint64_t cookie = script_expect_request(script, NBD_CMD_BLOCK_STATUS, 0, 0, 1024);
	script_status(script, cookie, 0, 7, extents, 2);
	script_none(script, cookie);
}

/* Every kind of message. */
static struct script *make_script(enum script_replies replies)
{
	struct script *script = script_new();

	script_greeting(script);
	script_agree(script, replies);
	if (replies != SCRIPT_SIMPLE) {
		script_expect_queries(script, NBD_OPT_LIST_META_CONTEXT, &context, 1);
		script_context(script, NBD_OPT_LIST_META_CONTEXT, 0, context);
		script_ack(script, NBD_OPT_LIST_META_CONTEXT);
		script_select(script, context, 7);
	}
	script_go(script, 4096, FIXTURE_ALL_FLAGS);
	add_read(script);
	add_failure(script);
	uint64_t cookie = script_expect_request(script, NBD_CMD_WRITE, 0, 0, LENGTH);
	script_add(script, SCRIPT_EXPECT, buffer, LENGTH);
	script_answer(script, cookie, 0);
	if (replies != SCRIPT_SIMPLE)
		add_status(script);
	cookie = script_expect_request(script, NBD_CMD_FLUSH, 0, 0, 0);
	script_answer(script, cookie, 0);
	script_expect_disconnect(script);
	return script;
}

static struct script *simple_script(void)
{
	return make_script(SCRIPT_SIMPLE);
}

static struct script *structured_script(void)
{
	return make_script(SCRIPT_STRUCTURED);
}

static struct script *extended_script(void)
{
	return make_script(SCRIPT_EXTENDED);
}

static int ignore_context(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return 0;
}

static int ignore_extent(
	const char *name, uint64_t offset, const struct nbdt_extent *extent, void *arg)
{
	(void)arg;
	assert_string_equal(name, context);
	assert_true(extent->length && offset + extent->length <= 1024);
	return 0;
}

static int choose(struct nbdt_client *client, unsigned int wishes, struct nbdt_error *err)
{
	struct nbdt_export export = { 0 };
	int result = nbdt_client_negotiate(client, wishes, err);

	if (!result && wishes)
		result = nbdt_client_list_contexts(
			client, "disk", &context, 1, ignore_context, NULL, err);
	if (!result && wishes)
		result = nbdt_client_set_contexts(client, "disk", &context, 1, err);
	if (!result)
		result = nbdt_client_go(client, "disk", &export, err);
	nbdt_export_clear(&export);
	return result;
}

static int converse(struct nbdt_client *client, unsigned int wishes, struct nbdt_error *err)
{
	int result = choose(client, wishes, err);

	if (!result)
		result = nbdt_client_pread(client, buffer, LENGTH, 512, 0, err);
	if (result)
		return result;
	result = nbdt_client_pread(client, buffer, LENGTH, 0, 0, err);
	if (result != -EIO)
		return result ? result : nbdt_error_set(err, -EPROTO, "an error got lost");
	result = nbdt_client_pwrite(client, buffer, LENGTH, 0, 0, err);
	if (!result && wishes)
		result = nbdt_client_block_status(client, 0, 1024, 0, ignore_extent, NULL, err);
	return result ? result : nbdt_client_flush(client, err);
}

static int converse_simply(struct nbdt_client *client, struct nbdt_error *err)
{
	return converse(client, 0, err);
}

static int converse_structured(struct nbdt_client *client, struct nbdt_error *err)
{
	return converse(client, NBDT_WANT_STRUCTURED, err);
}

static int converse_extended(struct nbdt_client *client, struct nbdt_error *err)
{
	return converse(client, NBDT_WANT_EXTENDED, err);
}

static const struct conversation conversations[] = {
	{ simple_script, converse_simply, false },
	{ structured_script, converse_structured, false },
	{ extended_script, converse_extended, false },
};

#define CONVERSATIONS (sizeof(conversations) / sizeof(conversations[0]))

static void good_conversations_succeed(void **state)
{
	(void)state;
	check_good_conversations(conversations, CONVERSATIONS);
}

static void server_may_close_after_any_byte(void **state)
{
	(void)state;
	check_close_after_any_byte(conversations, CONVERSATIONS);
}

static void server_may_stall_after_any_byte(void **state)
{
	(void)state;
	check_stall_after_any_byte(conversations, CONVERSATIONS);
}

static void server_may_stall_or_close_at_any_step(void **state)
{
	(void)state;
	check_stall_or_close_at_any_step(conversations, CONVERSATIONS);
}

static void any_length_may_be_a_lie(void **state)
{
	(void)state;
	check_lies_about_any_length(conversations, CONVERSATIONS);
}

static void any_byte_may_be_another(void **state)
{
	(void)state;
	check_any_byte_as_another(conversations, CONVERSATIONS);
}

/* Chunks that are right, without one that is the last. */
static void rule_41_reply_without_end_is_bounded_by_one_deadline(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;
	struct script *chunk = script_new();
	struct nbdt_export export;

	chunk->replies = SCRIPT_STRUCTURED;
	script_error(chunk, 1, 0, NBD_EIO, "again");
	script_agree(script, SCRIPT_STRUCTURED);
	script_go(script, 4096, FIXTURE_ALL_FLAGS);
	script_expect_request(script, NBD_CMD_READ, 0, 0, LENGTH);
	script_add(script, SCRIPT_FLOOD, chunk->bytes, chunk->used);
	free(chunk);
	fixture_start_within(fixture, 300);
	assert_int_equal(nbdt_client_negotiate(fixture->client, NBDT_WANT_STRUCTURED, NULL), 0);
	assert_int_equal(nbdt_client_go(fixture->client, "disk", &export, NULL), 0);
	nbdt_export_clear(&export);
	int64_t begin = milliseconds();
	assert_int_equal(nbdt_client_pread(fixture->client, buffer, LENGTH, 0, 0, &fixture->err),
		-ETIMEDOUT);
	assert_in_range(milliseconds() - begin, 290, 5000);
	fixture_finish(fixture);
}

/* Each reply comes in time, and tells one byte more. */
static void endless_progress_is_bounded_by_the_limit(void **state)
{
	static const struct nbdt_extent extent = { 1, 0 };
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_agree(script, SCRIPT_STRUCTURED);
	script_select(script, context, 7);
	script_go(script, 4096, FIXTURE_ALL_FLAGS);
	for (uint64_t i = 0; i < 20; i++) {
		uint64_t cookie = script_expect_request(
			script, NBD_CMD_BLOCK_STATUS, 0, i, 4096 - i);
		script_add(script, SCRIPT_PAUSE, NULL, 0);
		script_status(script, cookie, DONE, 7, &extent, 1);
	}
	fixture_go(fixture, context);
	nbdt_client_limit(fixture->client, 500);
	int64_t begin = milliseconds();
	assert_int_equal(nbdt_client_block_status(fixture->client, 0, 4096, 0, ignore_extent,
				 NULL, &fixture->err),
		-ETIMEDOUT);
	assert_in_range(milliseconds() - begin, 490, 3500);
	assert_non_null(strstr(fixture->err.text, "in the time that it had"));
	fixture_leave(fixture);
}

/* It takes nothing, while the client writes more than sockets hold. */
static void server_that_takes_no_data_is_not_waited_for_for_ever(void **state)
{
	struct fixture *fixture = *state;
	const size_t size = 16 * 1024 * 1024;
	struct nbdt_export export;
	unsigned char *data = calloc(1, size);

	script_go(fixture->script, size, FIXTURE_ALL_FLAGS);
	script_add(fixture->script, SCRIPT_DEAF, NULL, 0);
	fixture_start_within(fixture, 100);
	assert_int_equal(nbdt_client_go(fixture->client, "disk", &export, NULL), 0);
	nbdt_export_clear(&export);
	assert_int_equal(
		nbdt_client_pwrite(fixture->client, data, size, 0, 0, &fixture->err), -ETIMEDOUT);
	fixture_leave(fixture);
	free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_conversations_succeed),
		cmocka_unit_test(server_may_close_after_any_byte),
		cmocka_unit_test(server_may_stall_after_any_byte),
		cmocka_unit_test(server_may_stall_or_close_at_any_step),
		cmocka_unit_test(any_length_may_be_a_lie),
		cmocka_unit_test(any_byte_may_be_another),
		TEST(rule_41_reply_without_end_is_bounded_by_one_deadline),
		TEST(endless_progress_is_bounded_by_the_limit),
		TEST(server_that_takes_no_data_is_not_waited_for_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
