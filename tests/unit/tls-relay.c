/* SPDX-License-Identifier: Apache-2.0 */
#include "tls-relay.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbd-protocol.h"
#include "tls-peer.h"
#include "wire.h"

#define GREETING 18 /* bytes */
#define FLAGS 4     /* bytes */

struct relay {
	int client, server;
	struct tls_peer peer;
};

/* Exactly SIZE bytes, as they are. False: one of the two has closed. */
static bool pass(int from, int to, size_t size)
{
	unsigned char bytes[GREETING];
	struct pollfd fds[] = { { .fd = from, .events = POLLIN },
		{ .fd = to, .events = POLLRDHUP } };

	for (size_t done = 0; done < size;) {
		if (poll(fds, 2, -1) < 0 || !fds[0].revents)
			return false;
		ssize_t got = recv(from, bytes, size - done, 0);
		if (got <= 0 || send(to, bytes, (size_t)got, MSG_NOSIGNAL) != got)
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool ask_for_tls(int server)
{
	struct nbd_option_header header;
	struct nbd_option_reply_header reply;

	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, NBD_OPT_STARTTLS);
	wire_put32(&header.length, 0);
	return send(server, &header, sizeof(header), MSG_NOSIGNAL) == sizeof(header) &&
	       recv(server, &reply, sizeof(reply), MSG_WAITALL) == sizeof(reply) &&
	       wire_get32(&reply.reply) == NBD_REP_ACK;
}

/* False: the client has vanished, which is not for us to make a proper end of. */
static bool take_from_server(struct relay *relay, bool *over)
{
	char bytes[16384];
	ssize_t got = gnutls_record_recv(relay->peer.session, bytes, sizeof(bytes));

	if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED)
		return true;
	*over = got <= 0;
	return got <= 0 || send(relay->client, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

/* An end of the client's stream is passed on as TLS has it. */
static bool take_from_client(struct relay *relay, bool *open)
{
	char bytes[16384];
	ssize_t got = recv(relay->client, bytes, sizeof(bytes), 0);

	*open = got > 0;
	if (got < 0)
		return false;
	if (got > 0)
		return tls_say(relay->peer.session, bytes, (size_t)got);
	tls_leave(relay->peer.session);
	shutdown(relay->server, SHUT_WR);
	return true;
}

static void pass_all(struct relay *relay)
{
	bool open = true, over = false, good = true;

	while (good && !over) {
		struct pollfd fds[] = {
			{ .fd = relay->server, .events = POLLIN },
			{ .fd = open ? relay->client : -1, .events = POLLIN },
		};

		if (!gnutls_record_check_pending(relay->peer.session) && poll(fds, 2, -1) < 0)
			return;
		if (fds[0].revents || gnutls_record_check_pending(relay->peer.session))
			good = take_from_server(relay, &over);
		if (good && !over && fds[1].revents)
			good = take_from_client(relay, &open);
	}
}

static void *run(void *arg)
{
	struct relay *relay = arg;

	if (pass(relay->server, relay->client, GREETING) &&
		pass(relay->client, relay->server, FLAGS) && ask_for_tls(relay->server)) {
		if (!tls_peer_begin(&relay->peer, relay->server))
			pass_all(relay);
		tls_peer_end(&relay->peer);
	}
	close(relay->client);
	close(relay->server);
	free(relay);
	return NULL;
}

int tls_relay(int server)
{
	/* While neither takes anything, nobody would see that the client has gone. */
	const struct timeval patience = { .tv_sec = 2 };
	struct relay *relay = calloc(1, sizeof(*relay));
	pthread_attr_t attributes;
	pthread_t thread;
	int pair[2];

	assert_non_null(relay);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	relay->client = pair[1];
	relay->server = server;
	relay->peer.keys = "keys.psk";
	relay->peer.user = "alice";
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	assert_int_equal(pthread_create(&thread, &attributes, run, relay), 0);
	pthread_attr_destroy(&attributes);
	return pair[0];
}
