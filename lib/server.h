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

struct nbdt_server {
	struct nbdt_server_options options; /* with the defaults filled in */
	struct tls_credentials *credentials; /* NULL: no TLS */
	struct server_export *exports;
	size_t export_count;
	atomic_uint clients; /* in nbdt_server_serve() */
	atomic_bool stopping;
	int stop_fd;                    /* eventfd: readable for good once stopped */
	pthread_mutex_t lock;           /* of the list */
	struct connection *connections; /* in transmission */
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
 * The handshake with one client (server-handshake.c), in which TLS may replace *TRANSPORT, also when
 * it fails. Errors: -EPROTO, -ECONNRESET, -ETIMEDOUT, and those of tls_start().
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
