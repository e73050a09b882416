/* SPDX-License-Identifier: Apache-2.0 */
/* NBD_OPT_STRUCTURED_REPLY and NBD_OPT_EXTENDED_HEADERS from the client's side. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

#define BOTH (NBDT_WANT_STRUCTURED | NBDT_WANT_EXTENDED)

static int negotiate(struct fixture *fixture, unsigned int wishes)
{
	return nbdt_client_negotiate(fixture->client, wishes, &fixture->err);
}

static void check_agreed(struct fixture *fixture, bool structured, bool extended)
{
	assert_int_equal(nbdt_client_uses_structured(fixture->client), structured);
	assert_int_equal(nbdt_client_uses_extended(fixture->client), extended);
}

static void check_taking_is_refused(struct fixture *fixture, enum script_replies replies)
{
	script_agree(fixture->script, replies);
	script_go(fixture->script, 4096, FIXTURE_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(nbdt_client_take_socket(fixture->client, &fixture->err), -EINVAL);
	assert_non_null(strstr(fixture->err.text, "simple replies"));
	fixture_finish(fixture);
}

static void rule_20_structured_socket_is_not_for_the_kernel(void **state)
{
	check_taking_is_refused(*state, SCRIPT_STRUCTURED);
}

static void rule_20_extended_socket_is_not_for_the_kernel(void **state)
{
	check_taking_is_refused(*state, SCRIPT_EXTENDED);
}

static void rule_21_structured_replies_are_asked_for_without_data(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_expect_abort(fixture->script);
	fixture_start(fixture);
	check_agreed(fixture, false, false);
	assert_int_equal(negotiate(fixture, NBDT_WANT_STRUCTURED), 0);
	check_agreed(fixture, true, false);
	fixture_finish(fixture);
}

static void rule_21_what_was_agreed_on_is_not_asked_for_again(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_expect_abort(fixture->script);
	fixture_negotiate(fixture);
	assert_int_equal(negotiate(fixture, NBDT_WANT_STRUCTURED), 0);
	assert_int_equal(negotiate(fixture, 0), 0);
	check_agreed(fixture, true, false);
	fixture_finish(fixture);
}

static void rule_21_refused_structured_replies_are_no_error(void **state)
{
	static const uint32_t refusals[] = { NBD_REP_ERR_UNSUP, NBD_REP_ERR_POLICY,
		NBD_REP_ERR_INVALID, NBD_REP_ERR_TLS_REQD, NBD_REP_FLAG_ERROR | 12345 };

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		script_expect_option(fixture->script, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
		script_reply(fixture->script, NBD_OPT_STRUCTURED_REPLY, refusals[i], "no", 2);
		script_go(fixture->script, 4096, FIXTURE_FLAGS);
		script_expect_disconnect(fixture->script);
		fixture_start(fixture);
		assert_int_equal(negotiate(fixture, NBDT_WANT_STRUCTURED), 0);
		check_agreed(fixture, false, false);
		assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
		fixture_finish(fixture);
		fixture_tear_down(&each);
	}
}

static void check_df(struct fixture *fixture, enum script_replies replies, bool expected)
{
	script_agree(fixture->script, replies);
	script_go(fixture->script, 4096, FIXTURE_FLAGS | NBD_FLAG_SEND_DF);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(!!(fixture->export.flags & NBDT_FLAG_SEND_DF), expected);
	fixture_finish(fixture);
}

static void rule_21_df_without_structured_replies_is_ignored(void **state)
{
	check_df(*state, SCRIPT_SIMPLE, false);
}

static void rule_21_df_with_structured_replies_is_believed(void **state)
{
	check_df(*state, SCRIPT_STRUCTURED, true);
}

static void rule_23_extended_headers_need_no_structured_replies_first(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_EXTENDED);
	script_expect_abort(fixture->script);
	fixture_start(fixture);
	assert_int_equal(negotiate(fixture, BOTH), 0);
	check_agreed(fixture, true, true);
	/* They cannot be taken back. */
	assert_int_equal(negotiate(fixture, BOTH), 0);
	fixture_finish(fixture);
}

static void rule_23_without_extended_headers_structured_replies_are_asked_for(void **state)
{
	struct fixture *fixture = *state;

	script_expect_option(fixture->script, NBD_OPT_EXTENDED_HEADERS, NULL, 0);
	script_reply(fixture->script, NBD_OPT_EXTENDED_HEADERS, NBD_REP_ERR_UNSUP, NULL, 0);
	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_expect_abort(fixture->script);
	fixture_start(fixture);
	assert_int_equal(negotiate(fixture, BOTH), 0);
	check_agreed(fixture, true, false);
	fixture_finish(fixture);
}

static void rule_23_extended_headers_alone_are_not_replaced(void **state)
{
	struct fixture *fixture = *state;

	script_expect_option(fixture->script, NBD_OPT_EXTENDED_HEADERS, NULL, 0);
	script_reply(fixture->script, NBD_OPT_EXTENDED_HEADERS, NBD_REP_ERR_UNSUP, NULL, 0);
	script_expect_abort(fixture->script);
	fixture_start(fixture);
	assert_int_equal(negotiate(fixture, NBDT_WANT_EXTENDED), 0);
	check_agreed(fixture, false, false);
	fixture_finish(fixture);
}

static void rule_23_extended_headers_forbid_export_name(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_EXTENDED);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "disk");
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_UNSUP, NULL, 0);
	fixture_negotiate(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), -EPROTO);
	fixture_check_error(fixture, -EPROTO, "EXPORT_NAME");
	fixture_finish(fixture);
}

static void rule_23_extended_headers_need_go_even_if_avoided(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_EXTENDED);
	script_go(fixture->script, 4096, FIXTURE_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_negotiate(fixture);
	nbdt_client_avoid_go(fixture->client);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	fixture_finish(fixture);
}

static void rule_10_structured_replies_allow_export_name(void **state)
{
	static const unsigned char told[10] = { 0, 0, 0, 0, 0, 0, 0x20, 0, 0, FIXTURE_FLAGS };
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "disk");
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_UNSUP, NULL, 0);
	script_expect_option(fixture->script, NBD_OPT_EXPORT_NAME, "disk", 4);
	script_add(fixture->script, SCRIPT_SEND, told, sizeof(told));
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	fixture_finish(fixture);
}

static void rule_4_newstyle_that_is_not_fixed_is_not_asked(void **state)
{
	struct fixture *fixture = *state;

	script_newstyle(fixture->script, 0, 0);
	fixture_start(fixture);
	assert_int_equal(negotiate(fixture, BOTH), 0);
	check_agreed(fixture, false, false);
	fixture_finish(fixture);
}

static void rule_2_oldstyle_server_is_not_asked(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, 4096, FIXTURE_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	assert_int_equal(negotiate(fixture, BOTH), 0);
	check_agreed(fixture, false, false);
	fixture_finish(fixture);
}

static void after_the_choice_nothing_is_negotiated(void **state)
{
	struct fixture *fixture = *state;

	script_go(fixture->script, 4096, FIXTURE_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(negotiate(fixture, BOTH), -EINVAL);
	fixture_finish(fixture);
}

/* Neither an acknowledgement with data nor a reply that belongs elsewhere. */
static void rule_5_wrong_answers_break_the_protocol(void **state)
{
	static const uint32_t wrong[] = { NBD_REP_ACK, NBD_REP_SERVER, NBD_REP_INFO, 99 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint32_t option = i % 2 ? NBD_OPT_STRUCTURED_REPLY : NBD_OPT_EXTENDED_HEADERS;
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		script_expect_option(fixture->script, option, NULL, 0);
		script_reply(fixture->script, option, wrong[i / 2], "data", 4);
		fixture_start(fixture);
		assert_int_equal(negotiate(fixture, i % 2 ? NBDT_WANT_STRUCTURED : BOTH), -EPROTO);
		assert_int_equal(fixture->err.code, -EPROTO);
		check_agreed(fixture, false, false);
		fixture_finish(fixture);
		fixture_tear_down(&each);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
#define TEST_OTHER_GREETING(name)                                                       \
	cmocka_unit_test_setup_teardown(name, fixture_set_up_empty, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_20_structured_socket_is_not_for_the_kernel),
		TEST(rule_20_extended_socket_is_not_for_the_kernel),
		TEST(rule_21_structured_replies_are_asked_for_without_data),
		TEST(rule_21_what_was_agreed_on_is_not_asked_for_again),
		cmocka_unit_test(rule_21_refused_structured_replies_are_no_error),
		TEST(rule_21_df_without_structured_replies_is_ignored),
		TEST(rule_21_df_with_structured_replies_is_believed),
		TEST(rule_23_extended_headers_need_no_structured_replies_first),
		TEST(rule_23_without_extended_headers_structured_replies_are_asked_for),
		TEST(rule_23_extended_headers_alone_are_not_replaced),
		TEST(rule_23_extended_headers_forbid_export_name),
		TEST(rule_23_extended_headers_need_go_even_if_avoided),
		TEST(rule_10_structured_replies_allow_export_name),
		TEST_OTHER_GREETING(rule_4_newstyle_that_is_not_fixed_is_not_asked),
		TEST_OTHER_GREETING(rule_2_oldstyle_server_is_not_asked),
		TEST(after_the_choice_nothing_is_negotiated),
		cmocka_unit_test(rule_5_wrong_answers_break_the_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
