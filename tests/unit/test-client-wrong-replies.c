/* SPDX-License-Identifier: Apache-2.0 */
/* Replies to nobody, of the wrong kind, or that lead nowhere. */
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

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void rule_39_unknown_cookies_break_the_protocol(void **state)
{
	static const uint64_t cookies[] = { 0, 2, 0x100000000, 0x0100000000000000, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < 3 * COUNT(cookies); i++) {
		enum script_replies replies = (enum script_replies)(i % 3);
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		fixture_begin(fixture->script, replies, FLUSH, 0);
		script_answer(fixture->script, cookies[i / 3], 0);
		fixture_check_broken(fixture, "cookie", FLUSH, 0, "a request that is not waiting");
		fixture_tear_down(&each);
	}
}

static void rule_39_answered_cookie_is_unknown(void **state)
{
	(void)state;
	for (enum script_replies replies = SCRIPT_SIMPLE; replies <= SCRIPT_EXTENDED; replies++) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		uint64_t cookie = fixture_begin(fixture->script, replies, FLUSH, 0);
		script_answer(fixture->script, cookie, 0);
		script_answer(fixture->script, cookie, 0);
		script_expect_request(fixture->script, NBD_CMD_FLUSH, 0, 0, 0);
		fixture_go(fixture, replies ? "base:allocation" : NULL);
		assert_int_equal(fixture_issue(fixture, FLUSH, 0, 0, 0), 0);
		assert_int_equal(fixture_issue(fixture, FLUSH, 0, 0, 0), -EPROTO);
		assert_non_null(strstr(fixture->err.text, "not waiting (cookie 0x1)"));
		fixture_finish(fixture);
		fixture_tear_down(&each);
	}
}

/* Each magic where another was agreed on. */
static void replies_have_the_magic_that_was_agreed_on(void **state)
{
	static const uint32_t magics[] = { 0, NBD_SIMPLE_REPLY_MAGIC, NBD_STRUCTURED_REPLY_MAGIC,
		NBD_EXTENDED_REPLY_MAGIC, NBD_REQUEST_MAGIC, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < 3 * COUNT(magics); i++) {
		enum script_replies replies = (enum script_replies)(i % 3);
		uint32_t magic = magics[i / 3];
		unsigned char reply[32] = { 0 };
		void *each;

		if (replies == SCRIPT_EXTENDED ? magic == NBD_EXTENDED_REPLY_MAGIC
			: magic == NBD_SIMPLE_REPLY_MAGIC
				|| (replies && magic == NBD_STRUCTURED_REPLY_MAGIC))
			continue;
		fixture_set_up(&each);
		struct fixture *fixture = each;
		fixture_begin(fixture->script, replies, FLUSH, 0);
		wire_put32(reply, magic);
		wire_put64(reply + 8, 1);
		script_add(fixture->script, SCRIPT_SEND, reply, sizeof(reply));
		fixture_check_broken(fixture, "magic", FLUSH, 0, "which was not agreed on");
		fixture_tear_down(&each);
	}
}

/* Neither success nor failure: its length would not be known. */
static void rule_21_simple_reply_to_a_read_is_refused_once_structured(void **state)
{
	(void)state;
	for (uint32_t error = 0; error <= NBD_EIO; error += NBD_EIO) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		uint64_t cookie = fixture_begin(fixture->script, SCRIPT_STRUCTURED, PREAD, 0);
		script_simple_reply(fixture->script, cookie, error);
		script_add(fixture->script, SCRIPT_SEND, "0123456789abcdef", FIXTURE_LENGTH);
		fixture_check_broken(fixture, "simple", PREAD, 0, "a simple reply");
		fixture_tear_down(&each);
	}
}

static void rule_41_simple_success_of_block_status_is_refused(void **state)
{
	struct fixture *fixture = *state;

	uint64_t cookie = fixture_begin(fixture->script, SCRIPT_STRUCTURED, STATUS, 0);
	script_simple_reply(fixture->script, cookie, 0);
	fixture_check_broken(fixture, "simple", STATUS, 0, "not all of the metadata contexts");
}

static void rule_23_offset_of_a_reply_is_its_request_s(void **state)
{
	struct fixture *fixture = *state;

	uint64_t cookie = fixture_begin(fixture->script, SCRIPT_EXTENDED, TRIM, 0);
	fixture->script->offsets[cookie - 1]++;
	script_none(fixture->script, cookie);
	fixture_check_broken(fixture, "offset", TRIM, 0, "the offset of another request");
}

/* One byte, and the same from the whole block before, again and again. */
static void block_status_makes_progress(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;
	static const struct nbdt_extent extent = { 1, 0 };

	script_agree(script, SCRIPT_STRUCTURED);
	script_select(script, "base:allocation", FIXTURE_CONTEXT);
	script_go_with_blocks(script, 1024UL * 1024, FIXTURE_ALL_FLAGS, 8, 512, 4096);
	for (int i = 0; i < 2; i++) {
		uint64_t cookie = script_expect_request(
			script, NBD_CMD_BLOCK_STATUS, 0, FIXTURE_OFFSET, FIXTURE_LENGTH);
		script_status(script, cookie, NBD_REPLY_FLAG_DONE, FIXTURE_CONTEXT, &extent, 1);
	}
	fixture_check_broken(fixture, "progress", STATUS, 0, "again and again");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_39_unknown_cookies_break_the_protocol),
		cmocka_unit_test(rule_39_answered_cookie_is_unknown),
		cmocka_unit_test(replies_have_the_magic_that_was_agreed_on),
		cmocka_unit_test(rule_21_simple_reply_to_a_read_is_refused_once_structured),
		TEST(rule_41_simple_success_of_block_status_is_refused),
		TEST(rule_23_offset_of_a_reply_is_its_request_s),
		TEST(block_status_makes_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
