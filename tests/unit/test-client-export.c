/* SPDX-License-Identifier: Apache-2.0 */
/* NBD_OPT_INFO, NBD_OPT_GO and NBD_OPT_EXPORT_NAME from the client's side. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client-fixture.h"

static void rule_25_info_tells_all_and_leaves_haggling_open(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_INFO, "disk");
	script_info_text(script, NBD_OPT_INFO, NBD_INFO_DESCRIPTION, "a disk");
	script_info_block_size(script, NBD_OPT_INFO, 512, 4096, 1 << 20);
	script_info_export(script, NBD_OPT_INFO, 12345678, FIXTURE_FLAGS);
	script_ack(script, NBD_OPT_INFO);
	script_expect_abort(script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_INFO, "disk"), 0);
	assert_string_equal(fixture->export.name, "disk");
	assert_string_equal(fixture->export.description, "a disk");
	assert_int_equal(fixture->export.size, 12345678);
	assert_int_equal(fixture->export.flags, FIXTURE_FLAGS);
	assert_true(fixture->export.has_block_sizes);
	assert_int_equal(fixture->export.block_minimum, 512);
	assert_int_equal(fixture->export.block_preferred, 4096);
	assert_int_equal(fixture->export.block_maximum, 1 << 20);
	assert_int_equal(nbdt_client_take_socket(fixture->client, NULL), -EINVAL);
	fixture_finish(fixture);
}

static void rule_42_go_enters_transmission_and_leaves_with_a_disconnect(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "disk");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
	script_ack(fixture->script, NBD_OPT_GO);
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	assert_int_equal(fixture->export.size, 4096);
	assert_null(fixture->export.description);
	assert_false(fixture->export.has_block_sizes);
	assert_int_equal(fixture->export.block_minimum, 1);
	assert_int_equal(fixture->export.block_preferred, 4096);
	assert_int_equal(fixture->export.block_maximum, NBDT_MAX_PAYLOAD);
	fixture_finish(fixture);
}

/* What the server says next is for whoever has the socket. */
static void rule_20_taken_socket_has_every_byte_after_the_acknowledgement(void **state)
{
	struct fixture *fixture = *state;
	char bytes[4];

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
	script_ack(fixture->script, NBD_OPT_GO);
	script_add(fixture->script, SCRIPT_SEND, "next", 4);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, ""), 0);
	int fd = nbdt_client_take_socket(fixture->client, NULL);
	assert_int_equal(read(fd, bytes, 4), 4);
	assert_memory_equal(bytes, "next", 4);
	nbdt_client_close(fixture->client);
	close(fd);
	assert_int_equal(peer_finish(fixture->peer), 0);
}

static void rule_14_info_and_then_go_on_one_connection(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t option = NBD_OPT_INFO; option <= NBD_OPT_GO; option++) {
		script_expect_inquiry(fixture->script, option, "x");
		script_info_export(fixture->script, option, 4096, FIXTURE_FLAGS);
		script_ack(fixture->script, option);
	}
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_INFO, "x"), 0);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "x"), 0);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "x"), -EINVAL);
	fixture_finish(fixture);
}

static void rule_13_unknown_informations_are_ignored(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;
	char *large = calloc(1, 60000);

	large[0] = 0x7f;
	script_expect_inquiry(script, NBD_OPT_GO, "x");
	script_info_text(script, NBD_OPT_GO, 0x1234, "something new");
	script_info_text(script, NBD_OPT_GO, 0x1235, "");
	script_info_text(script, NBD_OPT_GO, NBD_INFO_NAME, "real name");
	script_reply(script, NBD_OPT_GO, NBD_REP_INFO, large, 60000);
	script_info_export(script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
	script_ack(script, NBD_OPT_GO);
	script_expect_disconnect(script);
	free(large);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "x"), 0);
	assert_string_equal(fixture->export.name, "x");
	fixture_finish(fixture);
}

static void repeated_informations_are_fine(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_GO, "x");
	for (int i = 0; i < 2; i++) {
		script_info_export(script, NBD_OPT_GO, 4096, FIXTURE_FLAGS);
		script_info_text(script, NBD_OPT_GO, NBD_INFO_DESCRIPTION, "said twice");
	}
	script_ack(script, NBD_OPT_GO);
	script_expect_disconnect(script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "x"), 0);
	assert_string_equal(fixture->export.description, "said twice");
	fixture_finish(fixture);
}

static void rule_10_unsupported_go_falls_back_to_export_name(void **state)
{
	static const unsigned char told[10] = { 0, 0, 0, 0, 0, 0, 0x20, 0, 0, FIXTURE_FLAGS };
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_reply(script, NBD_OPT_GO, NBD_REP_ERR_UNSUP, NULL, 0);
	script_expect_option(script, NBD_OPT_EXPORT_NAME, "disk", 4);
	script_add(script, SCRIPT_SEND, told, sizeof(told));
	script_expect_disconnect(script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	assert_string_equal(fixture->export.name, "disk");
	assert_int_equal(fixture->export.size, 8192);
	assert_int_equal(fixture->export.flags, FIXTURE_FLAGS);
	assert_false(fixture->export.has_block_sizes);
	fixture_finish(fixture);
}

static void avoided_go_is_not_asked_for(void **state)
{
	static const unsigned char told[] = { 0, 0, 0, 0, 0, 0, 0x20, 0, 0, FIXTURE_FLAGS };
	struct fixture *fixture = *state;

	script_expect_option(fixture->script, NBD_OPT_EXPORT_NAME, "disk", 4);
	script_add(fixture->script, SCRIPT_SEND, told, sizeof(told));
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	nbdt_client_avoid_go(fixture->client);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	assert_int_equal(fixture->export.size, 8192);
	fixture_finish(fixture);
}

static void unsupported_info_does_not_commit(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_INFO, "disk");
	script_reply(fixture->script, NBD_OPT_INFO, NBD_REP_ERR_UNSUP, NULL, 0);
	script_expect_abort(fixture->script);
	fixture_check_failure(fixture, NBD_OPT_INFO, "disk", -EOPNOTSUPP, "INFO");
}

static void hangup_after_export_name_means_no_such_export(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_newstyle(script, 0, 0);
	script_expect_option(script, NBD_OPT_EXPORT_NAME, "disk", 4);
	script_add(script, SCRIPT_CLOSE, NULL, 0);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), -ENXIO);
	fixture_check_error(fixture, -ENXIO, "'disk'");
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), -EINVAL);
	fixture_finish(fixture);
}

/* Without NO_ZEROES 124 bytes follow, which belong to no request. */
static void rule_11_zeroes_after_export_name_are_read(void **state)
{
	static const unsigned char told[10 + 124] = { 0, 0, 0, 0, 0, 0, 0x20, 0, 0, FIXTURE_FLAGS };
	struct fixture *fixture = *state;
	struct script *script = fixture->script;
	char bytes[4];

	script_newstyle(script, 0, 0);
	script_expect_option(script, NBD_OPT_EXPORT_NAME, "", 0);
	script_add(script, SCRIPT_SEND, told, sizeof(told));
	script_add(script, SCRIPT_SEND, "next", 4);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_INFO, ""), -EOPNOTSUPP);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, ""), 0);
	int fd = nbdt_client_take_socket(fixture->client, NULL);
	assert_int_equal(read(fd, bytes, 4), 4);
	assert_memory_equal(bytes, "next", 4);
	nbdt_client_close(fixture->client);
	close(fd);
	assert_int_equal(peer_finish(fixture->peer), 0);
}

static void rule_2_oldstyle_export_is_the_default_one_alone(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, 1 << 20, 0xffff0003);
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_INFO, ""), -EOPNOTSUPP);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), -ENXIO);
	fixture_check_error(fixture, -ENXIO, "oldstyle");
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, ""), 0);
	assert_int_equal(fixture->export.size, 1 << 20);
	assert_int_equal(fixture->export.flags, NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY);
	assert_string_equal(fixture->export.name, "");
	fixture_finish(fixture);
}

static void oldstyle_server_from_before_the_flags_has_none(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, 1 << 20, 0);
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, ""), 0);
	assert_int_equal(fixture->export.flags, 0);
	fixture_finish(fixture);
}

static void rule_29_unknown_transmission_flags_are_ignored(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_INFO, "x");
	script_info_export(fixture->script, NBD_OPT_INFO, 4096, 0xffff);
	script_ack(fixture->script, NBD_OPT_INFO);
	script_expect_abort(fixture->script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_INFO, "x"), 0);
	/* DF is not for those who have not negotiated structured replies. */
	assert_int_equal(fixture->export.flags, 0x0d7f);
	fixture_finish(fixture);
}

static void rule_1_names_that_nbd_does_not_allow_are_not_sent(void **state)
{
	struct fixture *fixture = *state;
	char name[4098];

	memset(name, 'x', 4097);
	name[4097] = '\0';
	script_expect_abort(fixture->script);
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, name), -EINVAL);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_INFO, name), -EINVAL);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "\xff"), -EINVAL);
	fixture_finish(fixture);
}

/* A server must not want them to be asked for when they were; the client cannot do more. */
static void rule_26_block_sizes_are_asked_for_from_the_beginning(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_block_size(fixture->script, NBD_OPT_GO, 4096, 4096, 1 << 20);
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_BLOCK_SIZE_REQD, NULL, 0);
	script_expect_abort(fixture->script);
	fixture_check_failure(fixture, NBD_OPT_GO, "x", -EREMOTEIO, "were asked for");
}

static void rule_12_longest_name_is_sent_whole(void **state)
{
	struct fixture *fixture = *state;
	char name[4097];

	memset(name, 'x', 4096);
	name[4096] = '\0';
	script_expect_inquiry(fixture->script, NBD_OPT_GO, name);
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, NULL, 0);
	script_expect_abort(fixture->script);
	fixture_check_failure(fixture, NBD_OPT_GO, name, -ENXIO, "xxx'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
#define TEST_OTHER_GREETING(name)                                                       \
	cmocka_unit_test_setup_teardown(name, fixture_set_up_empty, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_25_info_tells_all_and_leaves_haggling_open),
		TEST(rule_42_go_enters_transmission_and_leaves_with_a_disconnect),
		TEST(rule_20_taken_socket_has_every_byte_after_the_acknowledgement),
		TEST(rule_14_info_and_then_go_on_one_connection),
		TEST(rule_13_unknown_informations_are_ignored),
		TEST(repeated_informations_are_fine),
		TEST(rule_10_unsupported_go_falls_back_to_export_name),
		TEST(avoided_go_is_not_asked_for),
		TEST(unsupported_info_does_not_commit),
		TEST_OTHER_GREETING(hangup_after_export_name_means_no_such_export),
		TEST_OTHER_GREETING(rule_11_zeroes_after_export_name_are_read),
		TEST_OTHER_GREETING(rule_2_oldstyle_export_is_the_default_one_alone),
		TEST_OTHER_GREETING(oldstyle_server_from_before_the_flags_has_none),
		TEST(rule_29_unknown_transmission_flags_are_ignored),
		TEST(rule_1_names_that_nbd_does_not_allow_are_not_sent),
		TEST(rule_26_block_sizes_are_asked_for_from_the_beginning),
		TEST(rule_12_longest_name_is_sent_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
