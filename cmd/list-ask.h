/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a server, all of them within one limit of time and one of memory. */
#ifndef NBDT_LIST_ASK_H
#define NBDT_LIST_ASK_H

#include <stddef.h>
#include <time.h>

#include "command.h"

struct asking {
	const struct nbdt_uri *uri;
	unsigned int reply_timeout; /* milliseconds */
	unsigned int timeout;       /* milliseconds, for all questions together */
	struct timespec begin;
	size_t kept;                /* bytes of the server's words */
	bool warned;                /* of contexts that are refused */
	struct nbdt_client *client; /* NULL: the next question opens a connection */
	/* What was agreed on, once a connection was there. */
	bool reached;
	enum nbdt_handshake handshake;
	bool tls, structured, extended;
};

/* Metadata contexts of an export. */
struct context_names {
	char **names;
	size_t count;
};

/* TIMEOUT in milliseconds, 0: not given; then it is PATIENCE, and 10 seconds for each reply. */
void ask_begin(struct asking *asking, const struct nbdt_uri *uri, unsigned int timeout,
	unsigned int patience);
/* Milliseconds since then. */
int64_t ask_time_passed(const struct asking *asking);

/*
 * Connects, unless there is a connection, and negotiates all that the server has. -ETIMEDOUT also
 * when no time is left; otherwise as nbdt_client_connect() and nbdt_client_negotiate().
 */
int ask_open(struct asking *asking, struct nbdt_error *err);
void ask_close(struct asking *asking);

/*
 * Asks about an export; CONTEXTS, unless NULL, are asked for too, and if the server refuses to tell
 * them, a warning says so once. Both are to be cleared, also after an error: those of
 * nbdt_client_list_contexts() and nbdt_client_go().
 */
int ask_export(struct asking *asking, const char *name, struct nbdt_export *export,
	struct context_names *contexts, struct nbdt_error *err);
void clear_context_names(struct context_names *contexts);

/*
 * A copy of the server's words, for free(), as long as they are not too many together: *COPY.
 * -E2BIG, -ENOMEM.
 */
int ask_keep(struct asking *asking, const char *text, char **copy);

#endif
