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

#include "scripted-peer.h"
#include "tls-peer.h"

#define PATIENCE 10000 /* milliseconds that the peer waits for a client */

struct peer {
	const struct script *script;
	int fd;
	pthread_t thread;
	size_t left; /* bytes that may still be sent */
	size_t wrong; /* step, from 1; 0: none */
	bool encrypted;
	struct tls_peer tls; /* if it is */
};

static bool wait_for(struct peer *peer, short events)
{
	struct pollfd wait = { .fd = peer->fd, .events = events };

	return poll(&wait, 1, PATIENCE) == 1;
}

/* True: the client has said something, or left. */
static bool wait_for_client(struct peer *peer)
{
	if (peer->encrypted && gnutls_record_check_pending(peer->tls.session))
		return true;
	return wait_for(peer, POLLIN);
}

static ssize_t hear(struct peer *peer, void *bytes, size_t size)
{
	ssize_t got;

	if (!peer->encrypted)
		return recv(peer->fd, bytes, size, 0);
	do
		got = gnutls_record_recv(peer->tls.session, bytes, size);
	while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
	return got;
}

static bool send_all(struct peer *peer, const unsigned char *bytes, size_t length)
{
	if (peer->encrypted)
		return tls_say(peer->tls.session, bytes, length);
	while (length) {
		ssize_t sent = send(peer->fd, bytes, length, MSG_NOSIGNAL);
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
	return send_all(peer, bytes, allowed) && allowed == length;
}

static bool play_expect(struct peer *peer, const unsigned char *bytes, size_t length)
{
	while (length) {
		unsigned char got[1024];
		size_t size = length < sizeof(got) ? length : sizeof(got);

		if (!wait_for_client(peer))
			return false;
		ssize_t count = hear(peer, got, size);
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

	for (size_t at = 0; send_all(peer, bytes + at, piece); at = (at + piece) % length)
		if (pause)
			poll(NULL, 0, pause);
}

/* False if the client sends something. */
static bool wait_for_end(struct peer *peer)
{
	unsigned char more;

	return wait_for_client(peer) && hear(peer, &more, 1) <= 0;
}

static bool play_tls(struct peer *peer)
{
	peer->tls = (struct tls_peer){ .server = true, .keys = "keys.psk" };
	peer->encrypted = !tls_peer_begin(&peer->tls, peer->fd);
	if (!peer->encrypted)
		tls_peer_end(&peer->tls);
	return peer->encrypted;
}

/* A server that stops somewhere does so inside of a record; others say goodbye. */
static void end_tls(struct peer *peer)
{
	if (peer->left)
		tls_leave(peer->tls.session);
	tls_peer_end(&peer->tls);
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
	case SCRIPT_DEAF:
		return wait_for(peer, POLLRDHUP);
	case SCRIPT_PAUSE:
		poll(NULL, 0, 200);
		return true;
	case SCRIPT_TLS:
		return play_tls(peer);
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
	/* The beginning of one of 256 bytes. */
	static const unsigned char record[] = { 23, 3, 3, 1, 0, 'x' };

	for (size_t i = 0; i < script->count && !peer->wrong; i++) {
		if (play_step(peer, &script->steps[i]))
			continue;
		if (script->steps[i].action != SCRIPT_SEND || more_expected(script, i))
			peer->wrong = i + 1;
		break;
	}
	if (!peer->left && peer->encrypted)
		send(peer->fd, record, sizeof(record), MSG_NOSIGNAL);
	if (!peer->left && script->stall_at_limit)
		wait_for_end(peer);
	if (!peer->wrong && !wait_for_end(peer))
		peer->wrong = script->count + 1;
	if (peer->encrypted)
		end_tls(peer);
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
