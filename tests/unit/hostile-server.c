/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "hostile-server.h"
#include "wire.h"

#define TIMEOUT 2000 /* milliseconds, never reached */

/* What comes before TLS is tested in the clear. */
static size_t sent_before_tls(const struct script *script)
{
	size_t sent = 0;

	for (size_t i = 0; i < script->tls; i++)
		if (script->steps[i].action == SCRIPT_SEND)
			sent += script->steps[i].length;
	return sent;
}

/* WRONG may be NULL. */
static int play(const struct script *script, const struct conversation *conversation,
	unsigned int timeout, size_t *wrong)
{
	struct nbdt_error err = { 0 };
	struct nbdt_client *client;
	int fd;
	struct peer *peer = peer_start(script, &fd);
	int result = scripted_client_open(script, fd, timeout, &client, &err);

	if (!result) {
		result = conversation->converse(client, &err);
		scripted_client_close(client);
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

void check_good_conversations(const struct conversation *conversations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct script *script = conversations[i].script();
		size_t wrong;

		assert_int_equal(play(script, &conversations[i], TIMEOUT, &wrong), 0);
		assert_int_equal(wrong, 0);
		free(script);
	}
}

void check_close_after_any_byte(const struct conversation *conversations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct script *script = conversations[i].script();
		size_t all = script_sent(script);

		script->limit = sent_before_tls(script);
		/* Over TLS a sample, to save time: 3 does not divide the 20 bytes of a header. */
		for (; script->limit < all; script->limit += script->tls ? 3 : 1) {
			int result = play(script, &conversations[i], TIMEOUT, NULL);

			if (result != -EPROTO && result != -ECONNRESET
				&& (result != -ENXIO || !conversations[i].hangup_refuses))
				fail_msg("conversation %zu, %zu bytes: %d", i, script->limit,
					result);
		}
		free(script);
	}
}

int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void check_stall_after_any_byte(const struct conversation *conversations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct script *script = conversations[i].script();
		size_t all = script_sent(script);

		script->stall_at_limit = true;
		script->limit = sent_before_tls(script);
		/*
		 * Not all, since each one takes its time, and over TLS it is a second round. No
		 * stride divides the 20 bytes of a header.
		 */
		for (; script->limit < all; script->limit += script->tls ? 97 : 7) {
			int64_t begin = milliseconds();

			assert_int_equal(play(script, &conversations[i], 25, NULL), -ETIMEDOUT);
			/* One timeout, and one for a goodbye, on a busy machine. */
			assert_in_range(milliseconds() - begin, 20, 5000);
		}
		free(script);
	}
}

/* Steps are: all that a server sends, and in turn all that it expects. */
void check_stall_or_close_at_any_step(const struct conversation *conversations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct script *script = conversations[i].script();
		size_t steps = script->count;

		for (size_t step = script->tls ? script->tls + 1 : 0; step + 1 < steps; step++) {
			script->count = step;
			struct script_step kept = script->steps[step];
			script_add(script, step % 2 ? SCRIPT_CLOSE : SCRIPT_STALL, NULL, 0);
			int result = play(script, &conversations[i], 25, NULL);
			assert_true(result == -ETIMEDOUT || result == -ECONNRESET
				    || result == -EPROTO || result == -ENXIO);
			script->steps[step] = kept;
		}
		free(script);
	}
}

/* One length after the other. */
static void lie_about_lengths(struct script *script, const struct conversation *conversation)
{
	static const uint32_t lies[] = { 0, 1, 3, 0x10000, 0x10001, 0x7fffffff, 0x80000000,
		0xfffffffc, UINT32_MAX };

	for (size_t i = 0; i < script->length_count; i++) {
		unsigned char *at = script->bytes + script->lengths[i];
		uint32_t truth = wire_get32(at);

		for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
			if (lies[j] == truth)
				continue;
			wire_put32(at, lies[j]);
			int result = play(script, conversation, 60, NULL);
			/* A shorter name is another name, with more of a description. */
			bool harmless = lies[j] < 4 && !result;
			if (!harmless && result != -EPROTO && result != -ECONNRESET
				&& result != -ETIMEDOUT)
				fail_msg("length %zu as %#x: %d", i, lies[j], result);
		}
		wire_put32(at, truth);
	}
}

void check_lies_about_any_length(const struct conversation *conversations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct script *script = conversations[i].script();

		lie_about_lengths(script, &conversations[i]);
		free(script);
	}
}

static void change_bytes(struct script *script, const struct script_step *step,
	const struct conversation *conversation)
{
	/* Often the client waits for more: over TLS a sample has to do. */
	for (size_t i = 0; i < step->length; i += script->tls ? 3 : 1) {
		unsigned char *at = script->bytes + step->begin + i;

		*at ^= 0x81;
		play(script, conversation, 15, NULL);
		*at ^= 0x81;
	}
}

/* No particular result, except that there is one: the sanitizers watch. */
void check_any_byte_as_another(const struct conversation *conversations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct script *script = conversations[i].script();

		for (size_t step = script->tls; step < script->count; step++)
			if (script->steps[step].action == SCRIPT_SEND)
				change_bytes(script, &script->steps[step], &conversations[i]);
		free(script);
	}
}
