/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that stop, stall or lie anywhere: the client must end that with an error, and in time. */
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

#define FLAGS (NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH)

/* Every kind of message that a fixed newstyle server sends. */
static struct script *conversation(void)
{
	struct script *script = script_new();

	script_greeting(script);
	script_expect_option(script, NBD_OPT_LIST, NULL, 0);
	script_listed(script, "disk", "a disk");
	script_listed(script, "other", NULL);
	script_ack(script, NBD_OPT_LIST);
	script_expect_inquiry(script, NBD_OPT_INFO, "other");
	script_reply(script, NBD_OPT_INFO, NBD_REP_ERR_UNKNOWN, "gone", 4);
	script_expect_inquiry(script, NBD_OPT_INFO, "disk");
	script_info_export(script, NBD_OPT_INFO, 1 << 20, FLAGS);
	script_info_text(script, NBD_OPT_INFO, NBD_INFO_DESCRIPTION, "a disk");
	script_info_block_size(script, NBD_OPT_INFO, 512, 4096, 1 << 20);
	script_ack(script, NBD_OPT_INFO);
	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_info_block_size(script, NBD_OPT_GO, 512, 4096, 1 << 20);
	script_info_text(script, NBD_OPT_GO, 99, "?");
	script_info_export(script, NBD_OPT_GO, 1 << 20, FLAGS);
	script_ack(script, NBD_OPT_GO);
	script_expect_disconnect(script);
	return script;
}

/* GO that is not supported, and EXPORT_NAME with zeroes. */
static struct script *old_conversation(void)
{
	static const unsigned char told[134] = { [6] = 0x10, [9] = FLAGS };
	struct script *script = script_new();

	script_newstyle(script, NBD_FLAG_FIXED_NEWSTYLE, NBD_FLAG_C_FIXED_NEWSTYLE);
	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_reply(script, NBD_OPT_GO, NBD_REP_ERR_UNSUP, "what?", 5);
	script_expect_option(script, NBD_OPT_EXPORT_NAME, "disk", 4);
	script_add(script, SCRIPT_SEND, told, sizeof(told));
	script_expect_disconnect(script);
	return script;
}

static struct script *oldstyle_conversation(void)
{
	struct script *script = script_new();

	script_oldstyle(script, 4096, FLAGS);
	script_expect_disconnect(script);
	return script;
}

static int count_export(const char *name, const char *description, void *arg)
{
	(void)name;
	(void)description;
	++*(unsigned int *)arg;
	return 0;
}

static int inquire(struct nbdt_client *client, uint32_t option, const char *name,
	struct nbdt_error *err)
{
	struct nbdt_export export;
	int result = option == NBD_OPT_INFO ? nbdt_client_info(client, name, &export, err)
					    : nbdt_client_go(client, name, &export, err);

	if (result) {
		assert_null(export.name);
		assert_null(export.description);
	}
	nbdt_export_clear(&export);
	return result;
}

static int converse_in_full(struct nbdt_client *client, struct nbdt_error *err)
{
	unsigned int exports = 0;
	int result = nbdt_client_list(client, count_export, &exports, err);

	if (result)
		return result;
	result = inquire(client, NBD_OPT_INFO, "other", err);
	if (result != -ENXIO)
		return result ? result : -EBADMSG;
	result = inquire(client, NBD_OPT_INFO, "disk", err);
	return result ? result : inquire(client, NBD_OPT_GO, "disk", err);
}

static int converse_with_old(struct nbdt_client *client, struct nbdt_error *err)
{
	return inquire(client, NBD_OPT_GO, "disk", err);
}

static int converse_with_oldstyle(struct nbdt_client *client, struct nbdt_error *err)
{
	return inquire(client, NBD_OPT_GO, "", err);
}

static const struct conversation conversations[] = {
	{ conversation, converse_in_full, false },
	{ old_conversation, converse_with_old, true },
	{ oldstyle_conversation, converse_with_oldstyle, false },
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

static void trickling_server_is_bounded_by_one_deadline(void **state)
{
	static const char reply[] = "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\3\0\0\0\2\0\0\0\5\0\0\0\1x";
	struct script *script = script_new();
	struct nbdt_client *client;
	unsigned int exports = 0;
	int fd;

	(void)state;
	script_greeting(script);
	script_expect_option(script, NBD_OPT_LIST, NULL, 0);
	script_add(script, SCRIPT_TRICKLE, reply, sizeof(reply) - 1);
	struct peer *peer = peer_start(script, &fd);
	int64_t begin = milliseconds();
	assert_int_equal(scripted_client_open(script, fd, 500, &client, NULL), 0);
	assert_int_equal(
		nbdt_client_list(client, count_export, &exports, NULL), -ETIMEDOUT);
	scripted_client_close(client);
	assert_in_range(milliseconds() - begin, 490, 5000);
	peer_finish(peer);
	free(script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_conversations_succeed),
		cmocka_unit_test(server_may_close_after_any_byte),
		cmocka_unit_test(server_may_stall_after_any_byte),
		cmocka_unit_test(server_may_stall_or_close_at_any_step),
		cmocka_unit_test(any_length_may_be_a_lie),
		cmocka_unit_test(any_byte_may_be_another),
		cmocka_unit_test(trickling_server_is_bounded_by_one_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
