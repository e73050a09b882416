/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server share: the server itself, and the steps of serving one client. */
#ifndef NBDT_SERVER_H
#define NBDT_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "nbdtools.h"
#include "transport.h"

struct connection;

struct server_export {
	char *name;
	char *description; /* or NULL */
	struct nbdt_device *device;
};

/* A client in the handshake; newcomers are in the order in which they came. */
struct newcomer {
	struct newcomer *next;
	int socket;
	bool pushed_out; /* had to make room, under the server's lock */
};

#define NEWCOMERS_MAXIMUM 512u

struct nbdt_server {
	struct nbdt_server_options options; /* with the defaults filled in */
	struct tls_credentials *credentials; /* NULL: no TLS */
	struct server_export *exports;
	size_t export_count;
	atomic_uint clients; /* with an export */
	atomic_bool stopping;
	int stop_fd;                    /* eventfd: readable for good once stopped */
	pthread_mutex_t lock;           /* of the lists */
	struct connection *connections; /* in transmission */
	struct newcomer *newcomers;     /* in the handshake */
	size_t newcomer_count;
};

/* LENGTH bytes at NAME. NULL: no such export. The empty name is the default export. */
const struct server_export *server_find_export(
	const struct nbdt_server *server, const char *name, size_t length);

/* The form of requests and replies ("Transmission"). */
enum message_style {
	STYLE_SIMPLE,     /* what the kernel knows */
	STYLE_STRUCTURED, /* replies in chunks */
	STYLE_EXTENDED,   /* these with 64-bit lengths, in requests too */
};

/* What a handshake comes to. */
struct server_choice {
	const struct server_export *export; /* NULL: the client left, or the server is stopped */
	bool block_sizes;                   /* the client asked for them, and so keeps to them */
	enum message_style style;
	bool allocation;                    /* "base:allocation" was selected */
};

/* What is announced of a device. The maximum is of a READ's or WRITE's payload, bytes. */
uint16_t server_flags(const struct nbdt_device *device, enum message_style style);
uint32_t server_block_maximum(const struct nbdt_device *device);

/*
 * Limits on clients (server-admission.c). The handshake is between server_enter() and
 * server_leave(), which must come before the socket is closed, and tells whether the client had to
 * make room for another, as server_make_room() asks of the oldest. Who gets an export has been
 * admitted before, and is dismissed after.
 */
void server_enter(struct nbdt_server *server, struct newcomer *newcomer);
bool server_leave(struct nbdt_server *server, struct newcomer *newcomer);
void server_make_room(struct nbdt_server *server);
bool server_admit(struct nbdt_server *server);
void server_dismiss(struct nbdt_server *server);

/*
 * The handshake with one client (server-handshake.c), in which TLS may replace *TRANSPORT, also
 * when it fails. A client with an export in CHOICE was admitted. Errors: -EPROTO, -ECONNRESET,
 * -ETIMEDOUT, -EUSERS, and those of tls_start().
 */
int server_handshake(struct nbdt_server *server, struct transport **transport,
	struct server_choice *choice, struct nbdt_error *err);

/*
 * The transmission phase with one client (server-transmission.c). Errors: -EPROTO, -ECONNRESET,
 * -ENOMEM.
 */
int server_transmission(struct nbdt_server *server, struct transport *transport,
	const struct server_choice *choice, struct nbdt_error *err);

/* Milliseconds that the oldest request being executed on a connection has taken; 0: none. */
unsigned int connection_oldest_request(struct connection *connection);

#endif
