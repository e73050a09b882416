/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client's files share: the connection, the frame of an option's exchange, and what is
 * learned of an export.
 */
#ifndef NBDT_CLIENT_INTERNAL_H
#define NBDT_CLIENT_INTERNAL_H

#include "nbd-protocol.h"
#include "nbdtools.h"
#include "transport.h"

/* The most of a reply's data that means anything: an export's name and description. */
#define CLIENT_DATA (4 + 2 * NBDT_MAX_STRING)

enum client_phase {
	CLIENT_HAGGLING, /* options may be sent */
	CLIENT_TRANSMISSION,
	CLIENT_REFUSED, /* in transmission, but not for us, or no longer: a goodbye is all */
	CLIENT_BROKEN,  /* out of step, or gone: not even a goodbye */
	CLIENT_TAKEN,   /* the socket is someone else's */
};

/* What was selected by NBD_OPT_SET_META_CONTEXT. */
struct client_contexts {
	char *export_name; /* for which it was; NULL: nothing is selected */
	size_t count;
	struct nbdt_context list[NBDT_MAX_CONTEXTS];
};

struct nbdt_client {
	struct transport *transport;
	char *name;           /* of the server, in messages */
	unsigned int timeout; /* milliseconds for one operation */
	deadline_t deadline;  /* of the one under way */
	deadline_t limit;     /* of all */
	enum nbdt_handshake handshake;
	enum client_phase phase;
	bool no_zeroes;
	bool avoid_go; /* EXPORT_NAME is to be used even so */
	bool tls;
	struct tls_credentials *credentials; /* of TLS; or NULL */
	bool structured; /* replies come in chunks, extended ones included */
	bool extended;
	struct client_contexts contexts;
	struct client_transmission *transmission; /* NULL until an export is chosen */
	uint64_t oldstyle_size; /* bytes */
	uint16_t oldstyle_flags;
	unsigned char data[CLIENT_DATA + 1]; /* of the last reply; one byte more, to terminate it */
};

/* client.c: bytes to and from the server. A failure leaves the client broken. */
int client_send(
	struct nbdt_client *client, struct iovec *vector, int count, struct nbdt_error *err);
int client_receive(
	struct nbdt_client *client, void *buffer, size_t size, struct nbdt_error *err);
/* The time of an operation, or of one reply, begins. */
void client_renew_deadline(struct nbdt_client *client);
/* Marks the client as broken, and returns CODE. */
int client_broken(struct nbdt_client *client, int code);

/*
 * client-greeting.c: the server's first words, within the deadline ("Oldstyle negotiation",
 * "Newstyle negotiation").
 */
int client_greet(struct nbdt_client *client, struct nbdt_error *err);

/*
 * client-options.c: begins the exchange of an option with a new deadline. NAME: of the export that
 * it is about, to be checked, or NULL.
 */
int client_begin_option(struct nbdt_client *client, const char *name, struct nbdt_error *err);
/* VECTOR[0] is for the header, which is filled in. */
int client_send_option(struct nbdt_client *client, uint32_t option, struct iovec *vector, int count,
	struct nbdt_error *err);

/* client-reply.c: replies to options, and what they mean for a person. */
struct option_reply {
	uint32_t type;   /* NBD_REP_… */
	uint32_t length; /* bytes announced; what exceeds CLIENT_DATA was skipped */
};
int client_receive_reply(struct nbdt_client *client, uint32_t option, struct option_reply *reply,
	struct nbdt_error *err);
/*
 * The result of an error reply: -EOPNOTSUPP, -ENXIO or -EREMOTEIO. NAME: the export in question,
 * or NULL. Haggling goes on.
 */
int client_refused(struct nbdt_client *client, uint32_t option, const char *name,
	const struct option_reply *reply, struct nbdt_error *err);
/* For a reply that has no place here. */
int client_misplaced_reply(struct nbdt_client *client, uint32_t option,
	const struct option_reply *reply, struct nbdt_error *err);

#define CLIENT_EXCERPT 161
/*
 * The beginning of foreign text, cut between characters, and fit for a message: OUT is
 * CLIENT_EXCERPT bytes.
 */
void client_excerpt(char *out, const char *text, size_t length);

/* client-info.c: facts of an export, gathered from replies. */
struct export_info {
	bool complete; /* size and flags are known */
	struct nbdt_export export;
};
/* Takes one NBD_REP_INFO of LENGTH bytes in CLIENT->data. -EPROTO. */
int client_take_info(struct nbdt_client *client, struct export_info *info, size_t length,
	struct nbdt_error *err);
/*
 * Checks what was gathered, and moves it to EXPORT with NAME. -EPROTO: it makes no sense, -ENOMEM.
 * INFO is empty then in any case.
 */
int client_finish_info(const struct nbdt_client *client, struct export_info *info, const char *name,
	struct nbdt_export *export, struct nbdt_error *err);

/* client-tls.c: what a URI wants of TLS, for tls_credentials_free(). */
int client_read_credentials(
	const struct nbdt_uri *uri, struct tls_credentials **credentials, struct nbdt_error *err);
/* STARTTLS and the handshake of TLS, within the deadline. Owns CREDENTIALS, also when it fails. */
int client_start_tls(
	struct nbdt_client *client, struct tls_credentials *credentials, struct nbdt_error *err);

/* client-contexts.c: forgets what was selected. */
void client_clear_contexts(struct nbdt_client *client);

/* client-io.c: an export was chosen. -ENOMEM. */
int client_enter_transmission(
	struct nbdt_client *client, const struct nbdt_export *export, struct nbdt_error *err);

/* client-request.c: NBD_CMD_DISC. */
int client_say_disconnect(struct nbdt_client *client, struct nbdt_error *err);

#endif
