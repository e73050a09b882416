/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbdtools.h"
#include "scripted-peer.h"
#include "wire.h"

#define PATIENCE 10000 /* milliseconds that the peer waits for a client */

struct script *script_new(void)
{
	struct script *script = calloc(1, sizeof(*script));

	assert_non_null(script);
	script->limit = SIZE_MAX;
	return script;
}

void script_add(struct script *script, enum script_action action, const void *bytes, size_t length)
{
	assert_true(script->count < SCRIPT_STEPS);
	assert_true(length <= SCRIPT_BYTES - script->used);
	if (length)
		memcpy(script->bytes + script->used, bytes, length);
	script->steps[script->count++] = (struct script_step){ action, script->used, length };
	script->used += length;
}

size_t script_sent(const struct script *script)
{
	size_t sent = 0;

	for (size_t i = 0; i < script->count; i++)
		if (script->steps[i].action == SCRIPT_SEND)
			sent += script->steps[i].length;
	return sent;
}

void script_note_length(struct script *script, size_t offset)
{
	assert_true(script->length_count < SCRIPT_LENGTHS);
	script->lengths[script->length_count++] = script->used + offset;
}

void script_newstyle(struct script *script, uint16_t flags, uint32_t client_flags)
{
	unsigned char greeting[18], answer[4];

	wire_put64(greeting, NBD_MAGIC);
	wire_put64(greeting + 8, NBD_OPTS_MAGIC);
	wire_put16(greeting + 16, flags);
	wire_put32(answer, client_flags);
	script_add(script, SCRIPT_SEND, greeting, sizeof(greeting));
	script_add(script, SCRIPT_EXPECT, answer, sizeof(answer));
}

void script_greeting(struct script *script)
{
	script_newstyle(script, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES,
		NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES);
}

void script_oldstyle(struct script *script, uint64_t size, uint32_t flags)
{
	unsigned char greeting[152] = { 0 };

	wire_put64(greeting, NBD_MAGIC);
	wire_put64(greeting + 8, NBD_CLISERV_MAGIC);
	wire_put64(greeting + 16, size);
	wire_put32(greeting + 24, flags);
	script_add(script, SCRIPT_SEND, greeting, sizeof(greeting));
}

void script_expect_option(
	struct script *script, uint32_t option, const void *data, size_t length)
{
	struct nbd_option_header header;

	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.length, (uint32_t)length);
	script_add(script, SCRIPT_EXPECT, &header, sizeof(header));
	if (length)
		script_add(script, SCRIPT_EXPECT, data, length);
}

void script_expect_inquiry(struct script *script, uint32_t option, const char *name)
{
	static const unsigned char wishes[] = { 0, 2, 0, 2, 0, 3 };
	unsigned char data[4 + NBDT_MAX_STRING + sizeof(wishes)];
	size_t length = strlen(name);

	assert_true(length <= NBDT_MAX_STRING);
	wire_put32(data, (uint32_t)length);
	memcpy(data + 4, name, length);
	memcpy(data + 4 + length, wishes, sizeof(wishes));
	script_expect_option(script, option, data, 4 + length + sizeof(wishes));
}

void script_expect_abort(struct script *script)
{
	script_expect_option(script, NBD_OPT_ABORT, NULL, 0);
	script_ack(script, NBD_OPT_ABORT);
}

void script_reply(
	struct script *script, uint32_t option, uint32_t reply, const void *data, size_t length)
{
	struct nbd_option_reply_header header;

	wire_put64(&header.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.reply, reply);
	wire_put32(&header.length, (uint32_t)length);
	script_note_length(script, offsetof(struct nbd_option_reply_header, length));
	script_add(script, SCRIPT_SEND, &header, sizeof(header));
	if (length)
		script_add(script, SCRIPT_SEND, data, length);
}

void script_ack(struct script *script, uint32_t option)
{
	script_reply(script, option, NBD_REP_ACK, NULL, 0);
}

void script_listed(struct script *script, const char *name, const char *description)
{
	unsigned char data[4 + 2 * (NBDT_MAX_STRING + 1)];
	size_t length = strlen(name);
	size_t total = 4 + length;

	wire_put32(data, (uint32_t)length);
	memcpy(data + 4, name, length);
	if (description) {
		memcpy(data + total, description, strlen(description));
		total += strlen(description);
	}
	script_note_length(script, sizeof(struct nbd_option_reply_header));
	script_reply(script, NBD_OPT_LIST, NBD_REP_SERVER, data, total);
}

void script_info_export(struct script *script, uint32_t option, uint64_t size, uint16_t flags)
{
	unsigned char data[12];

	wire_put16(data, NBD_INFO_EXPORT);
	wire_put64(data + 2, size);
	wire_put16(data + 10, flags);
	script_reply(script, option, NBD_REP_INFO, data, sizeof(data));
}

void script_info_block_size(struct script *script, uint32_t option, uint32_t minimum,
	uint32_t preferred, uint32_t maximum)
{
	unsigned char data[14];

	wire_put16(data, NBD_INFO_BLOCK_SIZE);
	wire_put32(data + 2, minimum);
	wire_put32(data + 6, preferred);
	wire_put32(data + 10, maximum);
	script_reply(script, option, NBD_REP_INFO, data, sizeof(data));
}

void script_info_text(
	struct script *script, uint32_t option, uint16_t information, const char *text)
{
	unsigned char data[2 + NBDT_MAX_STRING + 1];

	wire_put16(data, information);
	memcpy(data + 2, text, strlen(text));
	script_reply(script, option, NBD_REP_INFO, data, 2 + strlen(text));
}

struct peer {
	const struct script *script;
	int fd;
	pthread_t thread;
	size_t left; /* bytes that may still be sent */
	size_t wrong; /* step, from 1; 0: none */
};

static bool wait_for(int fd, short events, int patience)
{
	struct pollfd wait = { .fd = fd, .events = events };

	return poll(&wait, 1, patience) == 1;
}

static bool send_all(int fd, const unsigned char *bytes, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		bytes += sent;
		length -= (size_t)sent;
	}
	return true;
}

/* Up to the limit; false: it is reached, or the client is gone. */
static bool play_send(struct peer *peer, const unsigned char *bytes, size_t length)
{
	size_t allowed = length < peer->left ? length : peer->left;

	peer->left -= allowed;
	return send_all(peer->fd, bytes, allowed) && allowed == length;
}

static bool play_expect(struct peer *peer, const unsigned char *bytes, size_t length)
{
	while (length) {
		unsigned char got[1024];
		size_t size = length < sizeof(got) ? length : sizeof(got);

		if (!wait_for(peer->fd, POLLIN, PATIENCE))
			return false;
		ssize_t count = recv(peer->fd, got, size, 0);
		if (count <= 0 || memcmp(got, bytes, (size_t)count) != 0)
			return false;
		bytes += count;
		length -= (size_t)count;
	}
	return true;
}

/* Until the client has left. PAUSE: milliseconds between two bytes; 0: all at once. */
static void play_again_and_again(
	struct peer *peer, const unsigned char *bytes, size_t length, int pause)
{
	size_t piece = pause ? 1 : length;

	for (size_t at = 0; send_all(peer->fd, bytes + at, piece); at = (at + piece) % length)
		if (pause)
			poll(NULL, 0, pause);
}

/* False if the client sends something. */
static bool wait_for_end(struct peer *peer)
{
	unsigned char more;

	return wait_for(peer->fd, POLLIN, PATIENCE) && recv(peer->fd, &more, 1, 0) <= 0;
}

static bool play_step(struct peer *peer, const struct script_step *step)
{
	const unsigned char *bytes = peer->script->bytes + step->begin;

	switch (step->action) {
	case SCRIPT_SEND:
		return play_send(peer, bytes, step->length);
	case SCRIPT_EXPECT:
		return play_expect(peer, bytes, step->length);
	case SCRIPT_TRICKLE:
		play_again_and_again(peer, bytes, step->length, 20);
		return true;
	case SCRIPT_FLOOD:
		play_again_and_again(peer, bytes, step->length, 0);
		return true;
	case SCRIPT_CLOSE:
		shutdown(peer->fd, SHUT_RDWR);
		return true;
	case SCRIPT_STALL:
		return wait_for_end(peer);
	case SCRIPT_PAUSE:
		poll(NULL, 0, 200);
		return true;
	}
	return false;
}

/* A client that has heard enough may leave while the rest is sent. */
static bool more_expected(const struct script *script, size_t step)
{
	for (; step < script->count; step++)
		if (script->steps[step].action == SCRIPT_EXPECT)
			return true;
	return false;
}

static void *play(void *arg)
{
	struct peer *peer = arg;
	const struct script *script = peer->script;

	for (size_t i = 0; i < script->count && !peer->wrong; i++) {
		if (play_step(peer, &script->steps[i]))
			continue;
		if (script->steps[i].action != SCRIPT_SEND || more_expected(script, i))
			peer->wrong = i + 1;
		break;
	}
	if (!peer->left && script->stall_at_limit)
		wait_for_end(peer);
	if (!peer->wrong && !wait_for_end(peer))
		peer->wrong = script->count + 1;
	shutdown(peer->fd, SHUT_RDWR);
	return NULL;
}

struct peer *peer_start_on(const struct script *script, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	assert_non_null(peer);
	peer->script = script;
	peer->left = script->limit;
	peer->fd = fd;
	assert_int_equal(pthread_create(&peer->thread, NULL, play, peer), 0);
	return peer;
}

struct peer *peer_start(const struct script *script, int *socket)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*socket = pair[0];
	return peer_start_on(script, pair[1]);
}

size_t peer_finish(struct peer *peer)
{
	pthread_join(peer->thread, NULL);
	size_t wrong = peer->wrong;
	close(peer->fd);
	free(peer);
	return wrong;
}
