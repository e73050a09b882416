/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses, within a deadline. */
#ifndef NBDT_RESOLVE_H
#define NBDT_RESOLVE_H

#include <netdb.h>

#include "transport.h"

/*
 * The addresses of HOST for stream sockets, for freeaddrinfo(). PORT is decimal.
 * Errors: -EHOSTUNREACH with the resolver's words; -ETIMEDOUT; -EAGAIN, -ENOMEM no thread or
 * memory.
 */
int resolve_host(const char *host, const char *port, deadline_t deadline, struct addrinfo **list,
	struct nbdt_error *err);

#endif
