/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-connect's options, as its parts share them. */
#ifndef NBDT_NBD_CONNECT_H
#define NBDT_NBD_CONNECT_H

#include "command.h"

#define MAX_CONNECTIONS 128
#define CONNECTIONS_AUTO 0

struct connect_options {
	struct nbdt_uri *uri;
	int index;                /* or NBDT_INDEX_ANY */
	unsigned int connections; /* or CONNECTIONS_AUTO */
	uint32_t block_size;      /* bytes; 0: the server's minimum */
	bool read_only;
	uint64_t timeout;         /* seconds for a request */
	uint64_t dead_timeout;    /* seconds that I/O waits for a new connection */
	const char *identifier;   /* stands for the source, or NULL */
	bool ioctl;
	bool dry_run;
	unsigned int handshake_timeout; /* milliseconds */
};

/* Negotiates, attaches, waits, and prints the device; or with dry_run only tells what it found. */
enum command_status connect_attach(const struct connect_options *options);

#endif
