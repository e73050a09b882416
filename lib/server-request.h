/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and judging a request, before anything is done. */
#ifndef NBDT_SERVER_REQUEST_H
#define NBDT_SERVER_REQUEST_H

#include <stdint.h>

#include "server.h"

/* A request header in the machine's own byte order. */
struct wire_request {
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint64_t offset;
	uint64_t length;
	uint64_t payload; /* bytes that follow the header */
};

/* What a connection allows. */
struct request_rules {
	enum message_style style;
	uint32_t header_size;     /* of a request, bytes */
	uint64_t size;            /* of the export, bytes */
	uint32_t alignment;       /* bytes; 1 for a client that was told nothing of block sizes */
	uint32_t payload_maximum; /* bytes in a READ or WRITE */
	uint64_t payload_skipped; /* bytes of a payload that is refused, but does not end it all */
	uint16_t export_flags;    /* transmission flags as announced */
	bool allocation;          /* BLOCK_STATUS may be asked */
};

/* Fills all but size. */
void request_rules_set(struct request_rules *rules, const struct server_choice *choice);

/* AT: a header as received. -EPROTO: wrong magic, the stream is out of step. */
int wire_request_read(enum message_style style, const void *at, struct wire_request *request);

/*
 * 0, or the negative errno to refuse with, and *REASON for a person. Not for NBD_CMD_DISC.
 */
int request_check(const struct request_rules *rules, const struct wire_request *request,
	const char **reason);

/* The flags for the device of a request that was found good (enum nbdt_request_flag). */
unsigned int request_device_flags(const struct wire_request *request);

/* The error on the wire for a negative errno, or 0 for 0 ("Error values"). */
uint32_t request_wire_error(const struct wire_request *request, int result);

#endif
