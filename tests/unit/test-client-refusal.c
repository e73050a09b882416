/* SPDX-License-Identifier: Apache-2.0 */
/* Error replies: what they mean, and that haggling goes on after them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

static void rule_14_unknown_export_is_named_and_haggling_goes_on(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_GO, "no\nsuch");
	script_reply(script, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, "never heard of", 14);
	script_expect_inquiry(script, NBD_OPT_GO, "");
	script_info_export(script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
	script_reply(script, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, NULL, 0);
	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_info_export(script, NBD_OPT_GO, 8192, FIXTURE_FLAGS);
	script_ack(script, NBD_OPT_GO);
	script_expect_disconnect(script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "no\nsuch"), -ENXIO);
	fixture_check_error(fixture, -ENXIO, "the server has no export 'no?such': never heard of");
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, ""), -ENXIO);
	fixture_check_error(fixture, -ENXIO, "no default export");
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	assert_int_equal(fixture->export.size, 8192);
	fixture_finish(fixture);
}

/* Neither by EXPORT_NAME, nor in any other way without TLS. */
static void rule_17_server_that_requires_tls_is_not_asked_otherwise(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_TLS_REQD, NULL, 0);
	script_expect_abort(fixture->script);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EREMOTEIO, "the server requires TLS");
}

static void rule_15_refusals_are_explained_with_the_server_s_words(void **state)
{
	static const struct {
		uint32_t reply;
		const char *text, *word;
	} refusals[] = {
		{ NBD_REP_ERR_TLS_REQD, "TLS!",
			"the server requires TLS: ask for it by nbds instead of nbd: TLS!" },
		{ NBD_REP_ERR_POLICY, "ask \033]0;x\007 Bob", "forbids it: ask ?]0;x? Bob" },
		{ NBD_REP_ERR_POLICY, "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ NBD_REP_ERR_POLICY, "gr\xfc\x9b", "gr??" },
		{ NBD_REP_ERR_POLICY, "", "refuses the export 'x': its policy forbids it" },
		{ NBD_REP_ERR_INVALID, "hm", "invalid: hm" },
		{ NBD_REP_ERR_PLATFORM, "", "platform" },
		{ NBD_REP_ERR_SHUTDOWN, "", "shutting down" },
		{ NBD_REP_ERR_BLOCK_SIZE_REQD, "4k", "block sizes" },
		{ NBD_REP_ERR_TOO_BIG, "", "too large" },
		{ NBD_REP_ERR_EXT_HEADER_REQD, "ext", "ext" },
		{ UINT32_MAX, "new", "new" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
		script_reply(fixture->script, NBD_OPT_GO, refusals[i].reply, refusals[i].text,
			strlen(refusals[i].text));
		script_expect_abort(fixture->script);
		fixture_check_failure(fixture, NBD_OPT_GO, "x", -EREMOTEIO, refusals[i].word);
		fixture_tear_down(&each);
	}
}

/* One that is cut inside a character, and one that is longer than what is kept. */
static void rule_15_long_error_texts_are_cut(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(60000);

	for (size_t i = 0; i < 30000; i++)
		memcpy(text + 2 * i, "\xc3\xa9", 2);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_POLICY, text, 4000);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_POLICY, text, 60000);
	script_expect_abort(fixture->script);
	free(text);
	fixture_start(fixture);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "x"), -EREMOTEIO);
		fixture_check_error(fixture, -EREMOTEIO, ": \xc3\xa9\xc3\xa9");
		assert_null(strchr(fixture->err.text, '?'));
		assert_int_equal(strlen(strstr(fixture->err.text, "\xc3\xa9")), 160);
	}
	fixture_finish(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_14_unknown_export_is_named_and_haggling_goes_on),
		TEST(rule_17_server_that_requires_tls_is_not_asked_otherwise),
		cmocka_unit_test(rule_15_refusals_are_explained_with_the_server_s_words),
		TEST(rule_15_long_error_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
