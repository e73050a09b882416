/* SPDX-License-Identifier: Apache-2.0 */
/* What the handshake's frame and its options share. */
#ifndef NBDT_SERVER_HANDSHAKE_H
#define NBDT_SERVER_HANDSHAKE_H

#include "server.h"

#define HANDSHAKE_DATA (64u * 1024) /* bytes of one option; every option that we know has less */

/*
 * Several option replies, to be sent as one: an export's name and description are the most there
 * is.
 */
#define HANDSHAKE_REPLIES (3 * NBDT_MAX_STRING)

/* What options have agreed on so far. Nothing of it survives STARTTLS. */
struct agreement {
	enum message_style style;
	/* Of which "base:allocation" was selected; or NULL. */
	const struct server_export *allocation;
};

struct handshake {
	struct nbdt_server *server;
	struct transport *transport;
	deadline_t deadline;
	bool no_zeroes;
	bool fixed;     /* the client understands replies to options */
	bool tls;       /* the transport is encrypted */
	bool over;      /* no more options: an export was chosen, or the client leaves */
	struct agreement agreement;
	struct server_choice choice;
	struct nbdt_error error; /* one that only its finder could explain; or code 0 */

	uint32_t option; /* the one being handled */
	size_t length;
	unsigned char data[HANDSHAKE_DATA];

	size_t replies_length;
	unsigned char replies[HANDSHAKE_REPLIES];
};

/*
 * Handles the option in HANDSHAKE, whose data is there as a whole (server-options.c). 0, also
 * when it is refused; a negative errno ends the connection.
 */
int handshake_option(struct handshake *handshake);

/*
 * Adds one reply to those to be sent. REPLY: NBD_REP_…. -EMSGSIZE: too much, which is our own
 * mistake.
 */
int handshake_add_reply(
	struct handshake *handshake, uint32_t reply, const void *data, size_t length);
/* Sends bytes, or the replies that were added. */
int handshake_send(struct handshake *handshake, void *data, size_t length);
int handshake_send_replies(struct handshake *handshake);

/* The last reply to an option: an error with a text for the client's user, or an ACK. */
int handshake_refuse(struct handshake *handshake, uint32_t reply, const char *text);
int handshake_acknowledge(struct handshake *handshake);

/*
 * server-tls.c: NBD_OPT_STARTTLS, and the answer to all that must not come before it. -EPROTO and
 * what is the result of TLS are explained in HANDSHAKE.
 */
int handshake_start_tls(struct handshake *handshake);
bool handshake_demands_tls(const struct handshake *handshake);
int handshake_refuse_plaintext(struct handshake *handshake);

/* NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT (server-contexts.c). */
int handshake_contexts(struct handshake *handshake);

#endif
