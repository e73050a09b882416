/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a client that knows nothing of TLS to a server that requires it. */
#ifndef TLS_RELAY_H
#define TLS_RELAY_H

/*
 * SERVER, a connection to a server that has yet to say its first word, is the relay's from now on.
 * Returns the client's end, on which the greeting and the flags go as they are, and all that
 * follows through TLS, by the key of tests/make-tls-files. Its thread ends once both sides have
 * closed. For session_filter().
 */
int tls_relay(int server);

#endif
