/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS by GnuTLS, for both sides: what proves an identity, the handshake, and the transport that
 * comes out of it ("TLS support").
 */
#ifndef NBDT_TLS_H
#define NBDT_TLS_H

#include <gnutls/gnutls.h>

#include "transport.h"

/* What all connections of a client or a server share; not changed once it is made. */
struct tls_credentials {
	bool server;
	gnutls_priority_t priority;
	gnutls_certificate_credentials_t certificates; /* NULL: PSK */
	gnutls_psk_client_credentials_t client_psk;    /* or NULL */
	gnutls_psk_server_credentials_t server_psk;    /* or NULL */
	gnutls_datum_t keys;                           /* server with PSK: the file's contents */
	bool verify_peer;                              /* with certificates */
	char *hostname; /* client: that the server's certificate must have; or NULL */
	/* What certificates are compared with, for as long as a session lives. */
	gnutls_typed_vdata_st demands[2];
	unsigned int demand_count;
};

/*
 * tls-credentials.c: reads all that OPTIONS name. Errors: those of open(2), the text naming the
 * file; -EINVAL options or files that don't fit; -ENOMEM. tls_credentials_free(NULL) is fine.
 */
int tls_credentials_new(bool server, const struct nbdt_tls_options *options,
	struct tls_credentials **credentials, struct nbdt_error *err);
void tls_credentials_free(struct tls_credentials *credentials);

/* tls-certificates.c: X.509, from the folder that OPTIONS name, or from a client's usual ones. */
int tls_read_certificates(struct tls_credentials *credentials,
	const struct nbdt_tls_options *options, struct nbdt_error *err);

/* tls-psk.c: pre-shared keys, from a file with lines of USER:HEXADECIMAL-KEY. */
int tls_read_keys(struct tls_credentials *credentials, const struct nbdt_tls_options *options,
	struct nbdt_error *err);

/* tls-file.c: a whole file, with a NUL behind it, for tls_file_free(), which wipes it. */
int tls_file_read(const char *path, gnutls_datum_t *file, struct nbdt_error *err);
void tls_file_free(gnutls_datum_t *file);

/*
 * tls-handshake.c: turns the plain *TRANSPORT, from which nothing was read ahead, into an encrypted
 * one, which is to be closed if this fails. WAKE as in transport_wait(). PEER: whom error texts are
 * about.
 * Errors: -ETIMEDOUT; -EINTR, without a text; -ECONNRESET the peer hung up; -EKEYREJECTED its
 * certificate is not good; -EREMOTEIO it says why it does not go on; -EPROTO; -ENOMEM.
 */
int tls_start(struct transport **transport, const struct tls_credentials *credentials,
	const char *peer, int wake, deadline_t deadline, struct nbdt_error *err);

/* transport-tls.c */

#define TLS_INPUT ((size_t)64 * 1024) /* bytes received at once */
#define TLS_RECORD ((size_t)16 * 1024) /* bytes that fit into one record */

struct tls_transport {
	struct transport transport; /* first, since that is what the others know */
	gnutls_session_t session;
	int socket_error; /* negative errno of the socket, behind an error of GnuTLS */
	int failure;      /* negative errno: the session is over */
	bool ended;       /* nothing more will come */
	bool hung_up;     /* the socket's stream has ended, without a goodbye before */
	bool dry;         /* the socket had nothing more when it was last asked */
	/* Encrypted, to be sent: GnuTLS never has to wait, and so never has half a message. */
	unsigned char *output;
	size_t output_begin, output_end, output_size;
	size_t held; /* bytes of the caller's among them, which are not reported as taken yet */
	/* Encrypted, received. */
	size_t input_begin, input_end;
	size_t without_data; /* bytes that GnuTLS took since it last gave some */
	unsigned char input[TLS_INPUT];
	unsigned char record[TLS_RECORD]; /* where small pieces are gathered */
};

/* Owns SESSION and FD, also when it fails. NULL: no memory. */
struct tls_transport *transport_tls(int fd, gnutls_session_t session);
/* Sends what GnuTLS has put out: 0 when all of it is gone, -EAGAIN, or a negative errno. */
int tls_flush(struct tls_transport *tls);
/* Ends the session because of GnuTLS's error CODE: tells the peer; returns the negative errno. */
int tls_fail(struct tls_transport *tls, int code);

#endif
