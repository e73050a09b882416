/* SPDX-License-Identifier: Apache-2.0 */
/* Negotiated connections to one export, on their way to the kernel. */
#ifndef NBDT_CONNECT_SESSION_H
#define NBDT_CONNECT_SESSION_H

#include "nbd-connect.h"

struct session {
	struct nbdt_export export;
	struct nbdt_client *clients[MAX_CONNECTIONS];
	int sockets[MAX_CONNECTIONS]; /* -1 until session_take_sockets() */
	unsigned int count;
	uint32_t block_size;
	uint64_t size; /* bytes, whole blocks */
	uint16_t flags;
	char *source;  /* URI to be shown */
};

/*
 * connect-session.c: opens all connections to the export URI; TIMEOUT in milliseconds. On failure
 * too, session_close() follows.
 */
int session_open(struct session *session, const struct nbdt_uri *uri,
	const struct connect_options *options, unsigned int timeout, struct nbdt_error *err);
int session_take_sockets(struct session *session, struct nbdt_error *err);
void session_close(struct session *session);

/*
 * connect-alternatives.c: opens a session with the first of the options' URIs that works, or waits
 * until one does. Says what goes wrong, and what is not as one would expect.
 */
enum command_status session_open_any(
	struct session *session, const struct connect_options *options);

#endif
