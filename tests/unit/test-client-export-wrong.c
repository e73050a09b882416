/* SPDX-License-Identifier: Apache-2.0 */
/* What servers may not say of an export. */
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

static void contradicting_sizes_break_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
	script_info_export(fixture->script, NBD_OPT_GO, 8192, FIXTURE_FLAGS);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "contradicts");
}

static void rule_13_acknowledgement_without_size_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_block_size(fixture->script, NBD_OPT_GO, 1, 4096, 1 << 20);
	script_ack(fixture->script, NBD_OPT_GO);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "without telling its size");
}

static void rule_5_acknowledgement_with_data_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ACK, "x", 1);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "with data");
}

static void rule_5_reply_to_another_option_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_export(fixture->script, NBD_OPT_INFO, 4096, FIXTURE_FLAGS);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "it answered option 6");
}

static void rule_5_reply_with_a_wrong_magic_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_add(fixture->script, SCRIPT_SEND, "IHAVEOPT\0\0\0\7\0\0\0\1\0\0\0\0", 20);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "wrong magic");
}

/* Its data never comes, and is not waited for. */
static void rule_5_reply_that_is_too_long_breaks_the_protocol_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct nbd_option_reply_header header;

	wire_put64(&header.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&header.option, NBD_OPT_GO);
	wire_put32(&header.reply, NBD_REP_INFO);
	wire_put32(&header.length, 65537);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_add(fixture->script, SCRIPT_SEND, &header, sizeof(header));
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "of 65537 bytes");
}

static void rule_5_misplaced_reply_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_INFO, "x");
	script_reply(fixture->script, NBD_OPT_INFO, NBD_REP_SERVER, "\0\0\0\0", 4);
	fixture_check_failure(fixture, NBD_OPT_INFO, "x", -EPROTO, "does not answer INFO");
}

static void rule_13_informations_of_wrong_lengths_break_the_protocol(void **state)
{
	static const struct {
		const char *data;
		size_t length;
	} wrong[] = {
		{ "", 0 },
		{ "\0", 1 },
		{ "\0\0", 2 },
		{ "\0\0\0\0\0\0\0\0\20\0\0", 11 },
		{ "\0\0\0\0\0\0\0\0\20\0\0\1\0", 13 },
		{ "\0\3\0\0\2\0\0\0\20\0\0\20\0", 13 },
		{ "\0\3\0\0\2\0\0\0\20\0\0\20\0\0\0", 15 },
		{ "\0\2a\0b", 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
		script_reply(fixture->script, NBD_OPT_GO, NBD_REP_INFO, wrong[i].data,
			wrong[i].length);
		fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "broke the protocol");
		fixture_tear_down(&each);
	}
}

static void rule_1_description_of_4097_bytes_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;
	char text[4098];

	memset(text, 'x', 4097);
	text[4097] = '\0';
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_text(fixture->script, NBD_OPT_GO, NBD_INFO_DESCRIPTION, text);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "too long");
}

static void informations_without_end_are_given_up(void **state)
{
	static const unsigned char reply[] = { 0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 7, 0,
		0, 0, 3, 0, 0, 0, 2, 0, 9 };
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_add(fixture->script, SCRIPT_FLOOD, reply, sizeof(reply));
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "x"), -EPROTO);
	fixture_check_error(fixture, -EPROTO, "without end");
	fixture_leave(fixture);
}

static void rule_28_oldstyle_size_over_2_to_63_is_refused(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, UINT64_MAX, 1);
	script_expect_disconnect(fixture->script);
	fixture_check_failure(fixture, NBD_OPT_GO, "", -EPROTO, "2^63");
}

struct facts {
	uint64_t size;
	uint16_t flags;
	bool blocks;
	uint32_t minimum, preferred, maximum;
	uint32_t rounded; /* the maximum that is reported; 0: all of it is refused */
};

static void script_facts(struct script *script, uint32_t option, const struct facts *facts)
{
	script_expect_inquiry(script, option, "x");
	script_info_export(script, option, facts->size, facts->flags);
	if (facts->blocks)
		script_info_block_size(
			script, option, facts->minimum, facts->preferred, facts->maximum);
	script_ack(script, option);
}

/* INFO leaves haggling open whatever it says; GO does not, and so a refusal says goodbye. */
static void check_facts(const struct facts *facts)
{
	int result = facts->rounded ? 0 : -EPROTO;
	void *state;

	fixture_set_up(&state);
	struct fixture *fixture = state;
	script_facts(fixture->script, NBD_OPT_INFO, facts);
	script_facts(fixture->script, NBD_OPT_GO, facts);
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_INFO, "x"), result);
	assert_int_equal(fixture->export.block_maximum, facts->rounded);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "x"), result);
	assert_int_equal(fixture->export.block_maximum, facts->rounded);
	assert_int_equal(fixture->export.size, result ? 0 : facts->size);
	if (result) {
		fixture_check_error(fixture, -EPROTO, "the server announces");
		assert_int_equal(nbdt_client_take_socket(fixture->client, NULL), -EINVAL);
	}
	fixture_finish(fixture);
	fixture_tear_down(&state);
}

static void rule_28_sizes_and_flags_are_checked(void **state)
{
	static const struct facts cases[] = {
		{ 0, FIXTURE_FLAGS, .rounded = NBDT_MAX_PAYLOAD },
		{ 1, FIXTURE_FLAGS, .rounded = NBDT_MAX_PAYLOAD },
		{ INT64_MAX, FIXTURE_FLAGS, .rounded = NBDT_MAX_PAYLOAD },
		{ UINT64_C(1) << 63, FIXTURE_FLAGS, .rounded = 0 },
		{ UINT64_MAX, FIXTURE_FLAGS, .rounded = 0 },
		{ 4096, 0, .rounded = 0 },
		{ 4096, NBD_FLAG_SEND_FLUSH, .rounded = 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_facts(&cases[i]);
}

static void rule_24_block_sizes_are_checked(void **state)
{
	static const uint32_t cases[][4] = {
		{ 1, 512, 512, 512 },
		{ 1, 4096, UINT32_MAX, UINT32_MAX },
		{ 512, 4096, 1 << 20, 1 << 20 },
		{ 512, 4096, (1 << 20) + 511, 1 << 20 },
		{ 4096, 4096, UINT32_MAX, UINT32_MAX - 4095 },
		{ 65536, 65536, 65536, 65536 },
		{ 0, 4096, 1 << 20, 0 },
		{ 3, 4096, 1 << 20, 0 },
		{ 131072, 131072, 1 << 20, 0 },
		{ UINT32_MAX, UINT32_MAX, UINT32_MAX, 0 },
		{ 1, 0, 1 << 20, 0 },
		{ 1, 256, 1 << 20, 0 },
		{ 1, 4097, 1 << 20, 0 },
		{ 8192, 4096, 1 << 20, 0 },
		{ 512, 4096, 2048, 0 },
		{ 512, 4096, 4095, 0 },
		{ 1, 4096, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct facts facts = { 1 << 30, FIXTURE_FLAGS, true, cases[i][0], cases[i][1],
			cases[i][2], cases[i][3] };

		check_facts(&facts);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
#define TEST_OTHER_GREETING(name)                                                       \
	cmocka_unit_test_setup_teardown(name, fixture_set_up_empty, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(contradicting_sizes_break_the_protocol),
		TEST(rule_13_acknowledgement_without_size_breaks_the_protocol),
		TEST(rule_5_acknowledgement_with_data_breaks_the_protocol),
		TEST(rule_5_reply_to_another_option_breaks_the_protocol),
		TEST(rule_5_reply_with_a_wrong_magic_breaks_the_protocol),
		TEST(rule_5_reply_that_is_too_long_breaks_the_protocol_at_once),
		TEST(rule_5_misplaced_reply_breaks_the_protocol),
		cmocka_unit_test(rule_13_informations_of_wrong_lengths_break_the_protocol),
		TEST(rule_1_description_of_4097_bytes_breaks_the_protocol),
		TEST(informations_without_end_are_given_up),
		TEST_OTHER_GREETING(rule_28_oldstyle_size_over_2_to_63_is_refused),
		cmocka_unit_test(rule_28_sizes_and_flags_are_checked),
		cmocka_unit_test(rule_24_block_sizes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
