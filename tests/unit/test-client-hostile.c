/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that stop, stall or lie anywhere: the client must end that with an error, and in time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "nbdtools.h"
#include "scripted-peer.h"
#include "wire.h"

#define TIMEOUT 2000 /* milliseconds, never reached */
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

static const struct {
	struct script *(*script)(void);
	int (*converse)(struct nbdt_client *client, struct nbdt_error *err);
} conversations[] = {
	{ conversation, converse_in_full },
	{ old_conversation, converse_with_old },
	{ oldstyle_conversation, converse_with_oldstyle },
};

#define CONVERSATIONS (sizeof(conversations) / sizeof(conversations[0]))

/* WRONG may be NULL. */
static int play(const struct script *script, size_t which, unsigned int timeout, size_t *wrong)
{
	struct nbdt_error err = { 0 };
	struct nbdt_client *client;
	int fd;
	struct peer *peer = peer_start(script, &fd);
	int result = nbdt_client_adopt(fd, timeout, &client, &err);

	if (!result) {
		result = conversations[which].converse(client, &err);
		nbdt_client_close(client);
	}
	if (result) {
		assert_int_equal(err.code, result);
		assert_true(strlen(err.text) > 10);
	}
	size_t step = peer_finish(peer);
	if (wrong)
		*wrong = step;
	return result;
}

static void good_conversations_succeed(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONVERSATIONS; i++) {
		struct script *script = conversations[i].script();
		size_t wrong;

		assert_int_equal(play(script, i, TIMEOUT, &wrong), 0);
		assert_int_equal(wrong, 0);
		free(script);
	}
}

static void server_may_close_after_any_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONVERSATIONS; i++) {
		struct script *script = conversations[i].script();
		size_t all = script_sent(script);

		for (script->limit = 0; script->limit < all; script->limit++) {
			int result = play(script, i, TIMEOUT, NULL);

			/* -ENXIO: an old server's way to say that it has no such export. */
			if (result != -EPROTO && result != -ECONNRESET
				&& (i != 1 || result != -ENXIO))
				fail_msg("conversation %zu, %zu bytes: %d", i, script->limit,
					result);
		}
		free(script);
	}
}

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void server_may_stall_after_any_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONVERSATIONS; i++) {
		struct script *script = conversations[i].script();
		size_t all = script_sent(script);

		script->stall_at_limit = true;
		/* Not all, since each one takes its time: 7 does not divide the 20 of a header. */
		for (script->limit = 0; script->limit < all; script->limit += 7) {
			int64_t begin = milliseconds();

			assert_int_equal(play(script, i, 25, NULL), -ETIMEDOUT);
			/* One timeout, and one for a goodbye, on a busy machine. */
			assert_in_range(milliseconds() - begin, 20, 5000);
		}
		free(script);
	}
}

/* Steps are: all that a server sends, and in turn all that it expects. */
static void server_may_stall_or_close_at_any_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONVERSATIONS; i++) {
		struct script *script = conversations[i].script();
		size_t count = script->count;

		for (size_t step = 0; step + 1 < count; step++) {
			script->count = step;
			struct script_step kept = script->steps[step];
			script_add(script, step % 2 ? SCRIPT_CLOSE : SCRIPT_STALL, NULL, 0);
			int result = play(script, i, 25, NULL);
			assert_true(result == -ETIMEDOUT || result == -ECONNRESET
				    || result == -EPROTO || result == -ENXIO);
			script->steps[step] = kept;
		}
		free(script);
	}
}

static void any_length_may_be_a_lie(void **state)
{
	static const uint32_t lies[] = { 0, 1, 3, 0x10000, 0x10001, 0x7fffffff, 0x80000000,
		0xfffffffc, UINT32_MAX };
	struct script *script = conversation();

	(void)state;
	assert_true(script->length_count > 10);
	for (size_t i = 0; i < script->length_count; i++) {
		unsigned char *at = script->bytes + script->lengths[i];
		uint32_t truth = wire_get32(at);

		for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
			if (lies[j] == truth)
				continue;
			wire_put32(at, lies[j]);
			int result = play(script, 0, 60, NULL);
			/* A shorter name is another name, with more of a description. */
			bool harmless = lies[j] < 4 && !result;
			if (!harmless && result != -EPROTO && result != -ECONNRESET
				&& result != -ETIMEDOUT)
				fail_msg("length %zu as %#x: %d", i, lies[j], result);
		}
		wire_put32(at, truth);
	}
	free(script);
}

/* No particular result, except that there is one: the sanitizers watch. */
static void any_byte_may_be_another(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONVERSATIONS; i++) {
		struct script *script = conversations[i].script();

		for (size_t step = 0; step < script->count; step++) {
			if (script->steps[step].action != SCRIPT_SEND)
				continue;
			for (size_t j = 0; j < script->steps[step].length; j++) {
				unsigned char *at =
					script->bytes + script->steps[step].begin + j;

				*at ^= 0x81;
				play(script, i, 15, NULL);
				*at ^= 0x81;
			}
		}
		free(script);
	}
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
	assert_int_equal(nbdt_client_adopt(fd, 500, &client, NULL), 0);
	assert_int_equal(
		nbdt_client_list(client, count_export, &exports, NULL), -ETIMEDOUT);
	nbdt_client_close(client);
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

	return cmocka_run_group_tests(tests, NULL, NULL);
}
