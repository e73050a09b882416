/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection: how it begins and ends, and how bytes move in between. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client-internal.h"
#include "dial.h"
#include "tls.h"
#include "wire.h"

/* Milliseconds that a goodbye may take: nothing depends on its answer. */
#define GOODBYE_TIMEOUT 500

int client_broken(struct nbdt_client *client, int code)
{
	client->phase = CLIENT_BROKEN;
	return code;
}

void client_renew_deadline(struct nbdt_client *client)
{
	client->deadline = deadline_after(client->timeout);
	if (client->deadline > client->limit)
		client->deadline = client->limit;
}

void nbdt_client_limit(struct nbdt_client *client, unsigned int timeout)
{
	client->limit = deadline_after(timeout);
}

static int explain(struct nbdt_client *client, int result, struct nbdt_error *err)
{
	const char *when = client->phase == CLIENT_HAGGLING ? " in the handshake" : "";

	/* A client's part of TLS 1.3 is done before the server has judged the certificate. */
	if (client->phase == CLIENT_HAGGLING && client->tls && client->credentials->certificates)
		when = " in the handshake (over TLS: does it want another client certificate?)";
	client->phase = CLIENT_BROKEN;
	switch (result) {
	case -ETIMEDOUT:
		if (!deadline_left(client->limit))
			return nbdt_error_set(err, result,
				"%.200s did not come to an end in the time that it had",
				client->name);
		return nbdt_error_set(err, result, "%.200s did not answer within %.3g s",
			client->name, client->timeout / 1000.0);
	case -EPIPE:
	case -ECONNRESET:
		return nbdt_error_set(err, -ECONNRESET,
			"%.200s closed the connection%s", client->name, when);
	default:
		break;
	}
	if (client->transport->reason)
		return transport_explain(client->transport, client->name, result, err);
	return nbdt_error_errno(err, result, "connection to %.200s", client->name);
}

int client_send(
	struct nbdt_client *client, struct iovec *vector, int count, struct nbdt_error *err)
{
	int result = transport_send_all(client->transport, vector, count, -1, client->deadline);

	return result ? explain(client, result, err) : 0;
}

int client_receive(
	struct nbdt_client *client, void *buffer, size_t size, struct nbdt_error *err)
{
	int result = -ETIMEDOUT;

	/* One that never makes us wait must not go on for ever either. */
	if (deadline_left(client->deadline))
		result = transport_receive_all(
			client->transport, buffer, size, -1, client->deadline);
	return result ? explain(client, result, err) : 0;
}

/* Owns SOCKET and NAME from the beginning, NULL and -1 included. */
static int begin(int socket, char *name, unsigned int timeout, deadline_t deadline,
	struct nbdt_client **client, struct nbdt_error *err)
{
	struct nbdt_client *made = calloc(1, sizeof(*made));
	struct transport *transport = transport_plain(socket);
	int result;

	if (!made || !transport || !name) {
		if (transport)
			transport_close(transport);
		else
			close(socket);
		free(made);
		free(name);
		return nbdt_error_errno(err, -ENOMEM, "cannot connect");
	}
	made->transport = transport;
	made->name = name;
	made->timeout = timeout;
	made->deadline = deadline;
	made->limit = DEADLINE_NEVER;
	result = client_greet(made, err);
	if (result) {
		made->phase = CLIENT_BROKEN;
		nbdt_client_close(made);
		return result;
	}
	*client = made;
	return 0;
}

static int connect_plain(const struct nbdt_uri *uri, unsigned int timeout,
	struct nbdt_client **client, struct nbdt_error *err)
{
	deadline_t deadline = deadline_after(timeout);
	char *name = dial_name(uri);

	if (!name)
		return nbdt_error_errno(err, -ENOMEM, "cannot connect");
	int socket = dial(uri, name, deadline, err);
	if (socket < 0) {
		free(name);
		return socket;
	}
	return begin(socket, name, timeout, deadline, client, err);
}

int nbdt_client_connect(const struct nbdt_uri *uri, unsigned int timeout,
	struct nbdt_client **client, struct nbdt_error *err)
{
	struct tls_credentials *credentials = NULL;
	struct nbdt_client *made = NULL;

	int result = uri->tls ? client_read_credentials(uri, &credentials, err) : 0;
	if (!result)
		result = connect_plain(uri, timeout, &made, err);
	if (result) {
		tls_credentials_free(credentials);
		return result;
	}
	if (credentials)
		result = client_start_tls(made, credentials, err);
	if (result)
		nbdt_client_close(made);
	else
		*client = made;
	return result;
}

int nbdt_client_adopt(
	int socket, unsigned int timeout, struct nbdt_client **client, struct nbdt_error *err)
{
	return begin(socket, strdup("the server"), timeout, deadline_after(timeout), client, err);
}

enum nbdt_handshake nbdt_client_handshake(const struct nbdt_client *client)
{
	return client->handshake;
}

int nbdt_client_take_socket(struct nbdt_client *client, struct nbdt_error *err)
{
	int flags;

	/* We never read ahead of what we asked for, but a transport might. */
	if (client->phase != CLIENT_TRANSMISSION
		|| client->transport->ops->pending(client->transport))
		return nbdt_error_set(err, -EINVAL,
			"%.200s: no export was chosen on this connection", client->name);
	if (client->tls)
		return nbdt_error_set(err, -EOPNOTSUPP,
			"%.200s: TLS in the kernel is not built yet", client->name);
	if (client->structured)
		return nbdt_error_set(err, -EINVAL,
			"%.200s: the kernel takes simple replies only, and other ones were agreed"
			" on",
			client->name);
	flags = fcntl(client->transport->fd, F_GETFL);
	if (flags < 0 || fcntl(client->transport->fd, F_SETFL, flags & ~O_NONBLOCK))
		return nbdt_error_errno(err, -errno, "connection to %.200s", client->name);
	client->phase = CLIENT_TAKEN;
	return transport_release(client->transport);
}

/*
 * "MUST use soft disconnect" ("Termination of the session during option haggling"). The answer is
 * waited for so that the server does not write into a closed connection; some never give one.
 */
static void say_abort(struct nbdt_client *client)
{
	struct nbd_option_header header = { 0 };
	struct iovec vector = { .iov_base = &header, .iov_len = sizeof(header) };
	struct option_reply reply;

	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, NBD_OPT_ABORT);
	if (!client_send(client, &vector, 1, NULL))
		client_receive_reply(client, NBD_OPT_ABORT, &reply, NULL);
}

void nbdt_client_close(struct nbdt_client *client)
{
	if (!client)
		return;
	client->deadline = deadline_after(
		client->timeout < GOODBYE_TIMEOUT ? client->timeout : GOODBYE_TIMEOUT);
	if (client->phase == CLIENT_TRANSMISSION || client->phase == CLIENT_REFUSED)
		client_say_disconnect(client, NULL);
	/* A newstyle server that is not fixed knows no NBD_OPT_ABORT. */
	else if (client->phase == CLIENT_HAGGLING
		&& client->handshake == NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		say_abort(client);
	transport_close(client->transport);
	tls_credentials_free(client->credentials);
	client_clear_contexts(client);
	free(client->transmission);
	free(client->name);
	free(client);
}
