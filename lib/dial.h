/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to what a URI names. */
#ifndef NBDT_DIAL_H
#define NBDT_DIAL_H

#include "transport.h"

/*
 * A connected socket, closed on exec, maybe non-blocking, or a negative errno: those of connect(2)
 * and resolve_host(); -EOPNOTSUPP vsock; -EINVAL parameters of TLS without it;
 * -ENAMETOOLONG the path of a Unix socket.
 */
int dial(const struct nbdt_uri *uri, const char *name, deadline_t deadline, struct nbdt_error *err);

/* NAME for dial() and later messages: HOST:PORT or a path, for free(); NULL: no memory. */
char *dial_name(const struct nbdt_uri *uri);

#endif
