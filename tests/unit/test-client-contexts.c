/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata contexts in the handshake: NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
#include <errno.h>
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

#define LIST NBD_OPT_LIST_META_CONTEXT
#define SET NBD_OPT_SET_META_CONTEXT

static const char *const queries[] = { "base:allocation", "qemu:dirty-bitmap:a" };

struct listed {
	size_t count;
	char names[4][64];
	int stop; /* returned for the first one */
};

static int note_listed(const char *name, void *arg)
{
	struct listed *listed = arg;

	snprintf(listed->names[listed->count++ % 4], sizeof(listed->names[0]), "%s", name);
	return listed->stop;
}

static int list(struct fixture *fixture, struct listed *listed, size_t count)
{
	return nbdt_client_list_contexts(
		fixture->client, "disk", queries, count, note_listed, listed, &fixture->err);
}

static int set(struct fixture *fixture, size_t count)
{
	return nbdt_client_set_contexts(fixture->client, "disk", queries, count, &fixture->err);
}

static size_t selected(const struct fixture *fixture)
{
	size_t count;

	nbdt_client_contexts(fixture->client, &count);
	return count;
}

static int set_up_structured(void **state)
{
	fixture_set_up(state);
	script_agree(((struct fixture *)*state)->script, SCRIPT_STRUCTURED);
	return 0;
}

static void rule_22_list_without_queries_asks_for_all(void **state)
{
	struct fixture *fixture = *state;
	struct listed listed = { 0 };

	script_expect_queries(fixture->script, LIST, NULL, 0);
	script_context(fixture->script, LIST, 0, "base:allocation");
	script_context(fixture->script, LIST, 77, "x-thing:");
	script_ack(fixture->script, LIST);
	script_expect_abort(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(list(fixture, &listed, 0), 0);
	assert_int_equal(listed.count, 2);
	assert_string_equal(listed.names[0], "base:allocation");
	assert_string_equal(listed.names[1], "x-thing:");
	assert_int_equal(selected(fixture), 0);
	fixture_finish(fixture);
}

static void rule_22_list_sends_its_queries(void **state)
{
	struct fixture *fixture = *state;
	struct listed listed = { 0 };

	script_expect_queries(fixture->script, LIST, queries, 2);
	script_ack(fixture->script, LIST);
	script_expect_abort(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(list(fixture, &listed, 2), 0);
	assert_int_equal(listed.count, 0);
	fixture_finish(fixture);
}

static void rule_22_set_selects_what_the_server_has(void **state)
{
	struct fixture *fixture = *state;
	size_t count;

	script_expect_queries(fixture->script, SET, queries, 2);
	script_context(fixture->script, SET, 0xfffffffe, "qemu:dirty-bitmap:a");
	script_context(fixture->script, SET, 0, "base:allocation");
	script_ack(fixture->script, SET);
	script_go(fixture->script, 4096, FIXTURE_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(set(fixture, 2), 0);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	const struct nbdt_context *contexts = nbdt_client_contexts(fixture->client, &count);
	assert_int_equal(count, 2);
	assert_string_equal(contexts[0].name, "qemu:dirty-bitmap:a");
	assert_int_equal(contexts[0].id, 0xfffffffe);
	assert_string_equal(contexts[1].name, "base:allocation");
	assert_int_equal(contexts[1].id, 0);
	fixture_finish(fixture);
}

static void rule_22_set_meta_context_replaces_selection(void **state)
{
	struct fixture *fixture = *state;
	size_t count;

	script_select(fixture->script, "base:allocation", 1);
	script_expect_queries(fixture->script, SET, queries + 1, 1);
	script_context(fixture->script, SET, 1, queries[1]);
	script_ack(fixture->script, SET);
	script_expect_queries(fixture->script, SET, NULL, 0);
	script_ack(fixture->script, SET);
	script_expect_abort(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(set(fixture, 1), 0);
	assert_int_equal(nbdt_client_set_contexts(
				 fixture->client, "disk", queries + 1, 1, &fixture->err),
		0);
	assert_string_equal(nbdt_client_contexts(fixture->client, &count)->name, queries[1]);
	assert_int_equal(count, 1);
	/* Without queries nothing is selected. */
	assert_int_equal(set(fixture, 0), 0);
	assert_int_equal(selected(fixture), 0);
	fixture_finish(fixture);
}

static void rule_22_failed_set_leaves_nothing_selected(void **state)
{
	struct fixture *fixture = *state;

	script_select(fixture->script, "base:allocation", 1);
	script_expect_queries(fixture->script, SET, queries, 2);
	script_context(fixture->script, SET, 1, queries[0]);
	script_reply(fixture->script, SET, NBD_REP_ERR_TOO_BIG, "too many", 8);
	script_go(fixture->script, 4096, FIXTURE_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(set(fixture, 1), 0);
	assert_int_equal(selected(fixture), 1);
	assert_int_equal(set(fixture, 2), -EREMOTEIO);
	assert_non_null(strstr(fixture->err.text, "too many"));
	assert_non_null(strstr(fixture->err.text, "metadata contexts of the export 'disk'"));
	assert_int_equal(selected(fixture), 0);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	fixture_finish(fixture);
}

static int never(const char *context, uint64_t offset, const struct nbdt_extent *extent, void *arg)
{
	(void)context;
	(void)offset;
	(void)extent;
	(void)arg;
	fail();
	return 0;
}

static void rule_22_contexts_of_another_export_do_not_count(void **state)
{
	struct fixture *fixture = *state;

	script_select(fixture->script, "base:allocation", 1);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "other");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
	script_ack(fixture->script, NBD_OPT_GO);
	script_expect_disconnect(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(set(fixture, 1), 0);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "other"), 0);
	assert_int_equal(selected(fixture), 0);
	assert_int_equal(nbdt_client_block_status(fixture->client, 0, 4096, 0, never, NULL,
				 &fixture->err),
		-EINVAL);
	assert_non_null(strstr(fixture->err.text, "no metadata context"));
	fixture_finish(fixture);
}

static void rule_22_contexts_need_structured_replies(void **state)
{
	struct fixture *fixture = *state;
	struct listed listed = { 0 };

	script_expect_abort(fixture->script);
	fixture_start(fixture);
	assert_int_equal(set(fixture, 1), -EOPNOTSUPP);
	assert_non_null(strstr(fixture->err.text, "structured replies"));
	assert_int_equal(list(fixture, &listed, 1), -EOPNOTSUPP);
	fixture_finish(fixture);
}

static void refusals_are_told_with_the_server_s_words(void **state)
{
	struct fixture *fixture = *state;
	struct listed listed = { 0 };

	script_expect_queries(fixture->script, LIST, queries, 1);
	script_reply(fixture->script, LIST, NBD_REP_ERR_UNSUP, "what?", 5);
	script_expect_queries(fixture->script, SET, queries, 1);
	script_reply(fixture->script, SET, NBD_REP_ERR_UNKNOWN, "gone", 4);
	script_expect_queries(fixture->script, LIST, queries, 1);
	script_context(fixture->script, LIST, 0, "x-wide:status");
	script_reply(fixture->script, LIST, NBD_REP_ERR_EXT_HEADER_REQD, "", 0);
	script_expect_abort(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(list(fixture, &listed, 1), -EOPNOTSUPP);
	assert_non_null(strstr(fixture->err.text, "LIST_META_CONTEXT: what?"));
	assert_int_equal(set(fixture, 1), -ENXIO);
	assert_non_null(strstr(fixture->err.text, "no export 'disk': gone"));
	assert_int_equal(list(fixture, &listed, 1), -EREMOTEIO);
	assert_non_null(strstr(fixture->err.text, "extended headers"));
	fixture_finish(fixture);
}

/* Rule 1: strings are UTF-8 and have at most 4096 bytes. */
static void rule_1_what_is_no_context_is_not_sent(void **state)
{
	struct fixture *fixture = *state;
	char *longest = malloc(4098);
	const char *const wrong[] = { "", "base", ":leaf", "x\xff:leaf", longest };

	memset(longest, 'x', 4097);
	longest[1] = ':';
	longest[4097] = '\0';
	script_expect_abort(fixture->script);
	fixture_negotiate(fixture);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(nbdt_client_set_contexts(
					 fixture->client, "disk", &wrong[i], 1, &fixture->err),
			-EINVAL);
	longest[4096] = '\0';
	assert_int_equal(nbdt_client_set_contexts(
				 fixture->client, "\xff", queries, 1, &fixture->err),
		-EINVAL);
	assert_int_equal(nbdt_client_set_contexts(fixture->client, "disk", queries,
				 NBDT_MAX_CONTEXTS + 1, &fixture->err),
		-EINVAL);
	free(longest);
	fixture_finish(fixture);
}

/* An answer to SET that breaks the protocol, and a word of the explanation. */
static void check_broken(struct fixture *fixture, int code, const char *word)
{
	fixture_negotiate(fixture);
	assert_int_equal(set(fixture, 1), code);
	fixture_check_error(fixture, code, word);
	assert_int_equal(selected(fixture), 0);
	assert_int_equal(set(fixture, 1), -EINVAL);
	fixture_finish(fixture);
}

static void rule_1_names_of_contexts_are_checked(void **state)
{
	static const struct {
		const char *name;
		size_t length;
	} wrong[] = { { "", 0 }, { "a\0b", 3 }, { "base:\xff", 6 }, { NULL, 4097 } };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		unsigned char data[4 + 4097];
		void *each;

		set_up_structured(&each);
		struct fixture *fixture = each;
		memset(data, 'x', sizeof(data));
		if (wrong[i].name)
			memcpy(data + 4, wrong[i].name, wrong[i].length);
		script_expect_queries(fixture->script, SET, queries, 1);
		script_reply(fixture->script, SET, NBD_REP_META_CONTEXT, data, 4 + wrong[i].length);
		check_broken(fixture, -EPROTO, "metadata context whose name");
		fixture_tear_down(&each);
	}
}

static void rule_5_reply_without_room_for_a_number_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_queries(fixture->script, SET, queries, 1);
	script_reply(fixture->script, SET, NBD_REP_META_CONTEXT, "abc", 3);
	check_broken(fixture, -EPROTO, "metadata context whose name");
}

static void rule_5_misplaced_reply_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_queries(fixture->script, SET, queries, 1);
	script_reply(fixture->script, SET, NBD_REP_SERVER, "\0\0\0\0", 4);
	check_broken(fixture, -EPROTO, "SET_META_CONTEXT");
}

static void number_given_twice_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_queries(fixture->script, SET, queries, 1);
	script_context(fixture->script, SET, 5, "base:allocation");
	script_context(fixture->script, SET, 5, "base:other");
	check_broken(fixture, -EPROTO, "number 5");
}

static void too_many_contexts_are_given_up(void **state)
{
	struct fixture *fixture = *state;

	char name[NBDT_MAX_STRING + 1];

	memset(name, 'n', NBDT_MAX_STRING);
	name[NBDT_MAX_STRING] = '\0';
	script_expect_queries(fixture->script, SET, queries, 1);
	for (uint32_t i = 0; i <= NBDT_MAX_CONTEXTS; i++)
		script_context(fixture->script, SET, i, name);
	check_broken(fixture, -E2BIG, "64 metadata contexts");
}

static void list_without_end_is_given_up(void **state)
{
	struct nbd_option_reply_header header;
	unsigned char message[sizeof(header) + 4 + 15];
	struct fixture *fixture = *state;
	struct listed listed = { 0 };

	wire_put64(&header.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&header.option, LIST);
	wire_put32(&header.reply, NBD_REP_META_CONTEXT);
	wire_put32(&header.length, 4 + 15);
	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), "\0\0\0\0base:allocation", 4 + 15);
	script_expect_queries(fixture->script, LIST, queries, 1);
	script_add(fixture->script, SCRIPT_FLOOD, message, sizeof(message));
	fixture_negotiate(fixture);
	assert_int_equal(list(fixture, &listed, 1), -E2BIG);
	assert_int_equal(listed.count, 100000);
	fixture_finish(fixture);
}

static void callback_ends_the_list(void **state)
{
	struct fixture *fixture = *state;
	struct listed listed = { .stop = 42 };

	script_expect_queries(fixture->script, LIST, queries, 1);
	script_context(fixture->script, LIST, 0, "base:allocation");
	fixture_negotiate(fixture);
	assert_int_equal(list(fixture, &listed, 1), 42);
	assert_int_equal(list(fixture, &listed, 1), -EINVAL);
	fixture_finish(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_structured, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_22_list_without_queries_asks_for_all),
		TEST(rule_22_list_sends_its_queries),
		TEST(rule_22_set_selects_what_the_server_has),
		TEST(rule_22_set_meta_context_replaces_selection),
		TEST(rule_22_failed_set_leaves_nothing_selected),
		TEST(rule_22_contexts_of_another_export_do_not_count),
		cmocka_unit_test_setup_teardown(rule_22_contexts_need_structured_replies,
			fixture_set_up, fixture_tear_down),
		TEST(refusals_are_told_with_the_server_s_words),
		TEST(rule_1_what_is_no_context_is_not_sent),
		cmocka_unit_test(rule_1_names_of_contexts_are_checked),
		TEST(rule_5_reply_without_room_for_a_number_breaks_the_protocol),
		TEST(rule_5_misplaced_reply_breaks_the_protocol),
		TEST(number_given_twice_breaks_the_protocol),
		TEST(too_many_contexts_are_given_up),
		TEST(list_without_end_is_given_up),
		TEST(callback_ends_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
