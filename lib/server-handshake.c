/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the handshake ("Newstyle negotiation"): greeting, and receiving options one by
 * one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nbd-protocol.h"
#include "server-handshake.h"
#include "wire.h"

/*
 * An honest client needs a handful; one that lists, and asks about each of hundreds of exports, a
 * few hundred.
 */
#define OPTIONS_MAXIMUM 1024
/* An option over this is not even skipped. */
#define OPTION_SKIPPED_MAXIMUM (1024u * 1024)

int handshake_send(struct handshake *handshake, void *data, size_t length)
{
	struct iovec vector = { .iov_base = data, .iov_len = length };

	return transport_send_all(handshake->transport, &vector, 1, handshake->server->stop_fd,
		handshake->deadline);
}

static int receive(struct handshake *handshake, void *data, size_t length)
{
	return transport_receive_all(handshake->transport, data, length,
		handshake->server->stop_fd, handshake->deadline);
}

int handshake_add_reply(
	struct handshake *handshake, uint32_t reply, const void *data, size_t length)
{
	unsigned char *at = handshake->replies + handshake->replies_length;
	size_t space = sizeof(handshake->replies) - handshake->replies_length;
	struct nbd_option_reply_header header;

	if (space < sizeof(header) || length > space - sizeof(header))
		return -EMSGSIZE;
	wire_put64(&header.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&header.option, handshake->option);
	wire_put32(&header.reply, reply);
	wire_put32(&header.length, (uint32_t)length);
	memcpy(at, &header, sizeof(header));
	if (length)
		memcpy(at + sizeof(header), data, length);
	handshake->replies_length += sizeof(header) + length;
	return 0;
}

int handshake_send_replies(struct handshake *handshake)
{
	size_t length = handshake->replies_length;

	handshake->replies_length = 0;
	return handshake_send(handshake, handshake->replies, length);
}

int handshake_refuse(struct handshake *handshake, uint32_t reply, const char *text)
{
	int result;

	handshake->replies_length = 0;
	result = handshake_add_reply(handshake, reply, text, strlen(text));
	return result ? result : handshake_send_replies(handshake);
}

int handshake_acknowledge(struct handshake *handshake)
{
	int result = handshake_add_reply(handshake, NBD_REP_ACK, NULL, 0);

	return result ? result : handshake_send_replies(handshake);
}

static int greet(struct handshake *handshake)
{
	unsigned char greeting[18];
	unsigned char answer[4];

	wire_put64(greeting, NBD_MAGIC);
	wire_put64(greeting + 8, NBD_OPTS_MAGIC);
	wire_put16(greeting + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	int result = handshake_send(handshake, greeting, sizeof(greeting));
	if (!result)
		result = receive(handshake, answer, sizeof(answer));
	if (result)
		return result;
	uint32_t flags = wire_get32(answer);
	/*
	 * "If [it] encounters an unknown flag, the server MUST … close the session" ("Client
	 * flags").
	 */
	if (flags & ~(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES))
		return -EPROTO;
	handshake->fixed = flags & NBD_FLAG_C_FIXED_NEWSTYLE;
	handshake->no_zeroes = flags & NBD_FLAG_C_NO_ZEROES;
	return 0;
}

/* Takes the option's data; of one that is too long only the last part is kept. */
static int receive_data(struct handshake *handshake)
{
	size_t left = handshake->length;
	int result = 0;

	while (!result && left) {
		size_t size = left < sizeof(handshake->data) ? left : sizeof(handshake->data);

		result = receive(handshake, handshake->data, size);
		left -= size;
	}
	/* The end of the stream is no end between messages here. */
	return result == -EPIPE ? -ECONNRESET : result;
}

static int receive_option(struct handshake *handshake)
{
	struct nbd_option_header header;

	int result = receive(handshake, &header, sizeof(header));
	if (result)
		return result;
	if (wire_get64(&header.magic) != NBD_OPTS_MAGIC)
		return -EPROTO;
	handshake->option = wire_get32(&header.option);
	handshake->length = wire_get32(&header.length);
	if (handshake->length > OPTION_SKIPPED_MAXIMUM)
		return -EPROTO;
	/* A client that does not know of replies may only choose ("Newstyle negotiation"). */
	if (!handshake->fixed && handshake->option != NBD_OPT_EXPORT_NAME)
		return -EPROTO;
	return receive_data(handshake);
}

static int answer_option(struct handshake *handshake)
{
	if (handshake_demands_tls(handshake))
		return handshake_refuse_plaintext(handshake);
	if (handshake->length <= sizeof(handshake->data))
		return handshake_option(handshake);
	if (handshake->option == NBD_OPT_EXPORT_NAME)
		return -EPROTO;
	return handshake_refuse(
		handshake, NBD_REP_ERR_TOO_BIG, "the option has more data than this server takes");
}

static int negotiate(struct handshake *handshake)
{
	int result = greet(handshake);

	for (unsigned int count = 0; !result && !handshake->over; count++) {
		if (count == OPTIONS_MAXIMUM)
			return -EPROTO;
		result = receive_option(handshake);
		if (!result)
			result = answer_option(handshake);
	}
	return result;
}

static int explain(const struct handshake *handshake, int result, struct nbdt_error *err)
{
	if (handshake->error.code && (result || !handshake->choice.export))
		return nbdt_error_set(err, result ? result : handshake->error.code, "%s",
			handshake->error.text);
	if (result && handshake->transport->reason)
		return transport_explain(handshake->transport, "the client", result, err);
	switch (result) {
	case 0:
	case -EINTR: /* the server is stopped */
	case -EPIPE: /* the client left between messages, as port scanners and health checks do */
		return 0;
	case -EPROTO:
		return nbdt_error_set(err, result, "the client broke the protocol's handshake");
	case -ECONNRESET:
		return nbdt_error_set(err, result, "the client vanished in the handshake");
	case -ETIMEDOUT:
		return nbdt_error_set(
			err, result, "the client did not finish the handshake in time");
	default:
		return nbdt_error_errno(err, result, "handshake with the client");
	}
}

int server_handshake(struct nbdt_server *server, struct transport **transport,
	struct server_choice *choice, struct nbdt_error *err)
{
	struct handshake *handshake = calloc(1, sizeof(*handshake));

	if (!handshake)
		return nbdt_error_errno(err, -ENOMEM, "cannot serve a client");
	handshake->server = server;
	handshake->transport = *transport;
	handshake->deadline = deadline_after(server->options.handshake_timeout);
	int result = negotiate(handshake);
	if (!result)
		*choice = handshake->choice;
	else if (handshake->choice.export)
		server_dismiss(server);
	result = explain(handshake, result, err);
	*transport = handshake->transport;
	free(handshake);
	return result;
}
