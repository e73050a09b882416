/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of TLS: a peer that speaks it by plain GnuTLS, in a thread, and the files of
 * tests/make-tls-files.
 */
#ifndef TLS_PEER_H
#define TLS_PEER_H

#include <gnutls/gnutls.h>
#include <pthread.h>

#include "nbdtools.h"

/* For cmocka: makes the files once for all tests of a program. */
int tls_files_set_up(void **state);
int tls_files_tear_down(void **state);
/* The pre-shared keys alone, which is quicker. */
int tls_keys_set_up(void **state);
/* The path of one of them, such as "good"; lives as long as they do. */
const char *tls_file(const char *name);

struct tls_peer {
	bool server;
	const char *folder;   /* of certificates, such as "good"; NULL: none, or PSK */
	const char *keys;     /* such as "keys.psk"; NULL: no PSK */
	const char *user;     /* of a client with PSK */
	const char *priority; /* as GnuTLS has it; NULL: the default, with PSK if KEYS */
	bool ask_certificate; /* server: of the client, which must have one */
	/* What it does before TLS, and in it; either may be NULL. */
	void (*before)(int fd);
	void (*play)(gnutls_session_t session, int fd, void *arg);
	void *arg;

	int result;       /* of the handshake, once it is finished: GnuTLS's */
	size_t leftovers; /* bytes that came after one that failed */
	int fd;
	pthread_t thread;
	gnutls_session_t session;
	struct tls_peer_identity *identity;
};

/* One end of a socketpair is the peer's, *SOCKET the other. */
void tls_peer_start(struct tls_peer *peer, int *socket);
/* Waits for its end; it does not wait for ours longer than 10 seconds. */
int tls_peer_finish(struct tls_peer *peer);

/*
 * The handshake alone, in the calling thread, on FD, which stays the caller's. Returns
 * PEER->result. The session is for tls_peer_end() in any case.
 */
int tls_peer_begin(struct tls_peer *peer, int fd);
void tls_peer_end(struct tls_peer *peer);

/* For BEFORE: a server that agrees on TLS. */
void agree_on_tls(int fd);

/* For PLAY: sends or receives exactly SIZE bytes; false: it could not. */
bool tls_say(gnutls_session_t session, const void *bytes, size_t size);
bool tls_hear(gnutls_session_t session, void *bytes, size_t size);
/* Says a proper goodbye. */
void tls_leave(gnutls_session_t session);

#endif
