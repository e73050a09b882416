/* SPDX-License-Identifier: Apache-2.0 */
/* For the server's tests: a client that agreed on structured replies or extended headers. */
#ifndef SCRIPTED_CHUNKS_H
#define SCRIPTED_CHUNKS_H

#include "server-fixture.h"

enum talk_wish {
	TALK_STRUCTURED = 1 << 0,
	TALK_EXTENDED = 1 << 1,
	TALK_ALLOCATION = 1 << 2, /* selects "base:allocation" */
	TALK_BLOCK_SIZES = 1 << 3,
};

/* A session of its own with the server of a fixture, in the transmission phase of "disk". */
struct talk {
	struct session session;
	int fd;
	bool extended;
	uint16_t flags; /* transmission flags that were announced */
};

/* The handshake up to its options, and each of them. */
void talk_begin(struct talk *talk, struct nbdt_server *server);
/* Sends an option and returns its first reply's type; the reply's data are thrown away. */
uint32_t talk_try(struct talk *talk, uint32_t option, const void *data, size_t length);
/*
 * NBD_OPT_LIST_META_CONTEXT or SET_META_CONTEXT with COUNT queries. Returns the last reply's type,
 * *FOUND the number of contexts, whose names must be "base:allocation", *ID that of the last one.
 */
uint32_t talk_contexts(struct talk *talk, uint32_t option, const char *export,
	const char *const *queries, uint32_t count, unsigned int *found, uint32_t *id);
/* GO; returns the last reply's type. */
uint32_t talk_go(struct talk *talk, const char *export, bool block_sizes);

/* All of that, for "disk". WISHES: enum talk_wish. */
void talk_open(struct talk *talk, struct nbdt_server *server, unsigned int wishes);
/* Closes the client's end and returns what serving came to. */
int talk_close(struct talk *talk);

struct chunk {
	uint16_t flags, type;
	uint64_t cookie, offset; /* the latter with extended headers alone */
	uint64_t length;
	unsigned char payload[MEMORY_SIZE + 64];
};

/* A request in the form that was agreed on; PAYLOAD bytes may follow. */
void talk_request(struct talk *talk, uint16_t flags, uint16_t type, uint64_t cookie,
	uint64_t offset, uint64_t length);
/* Receives a chunk and checks what all have in common. */
void talk_receive(struct talk *talk, struct chunk *chunk);
/*
 * A request without payload whose reply is one chunk: returns its error, or 0 for
 * NBD_REPLY_TYPE_NONE. An error must have a text. Nothing else passes.
 */
uint32_t talk_ask(
	struct talk *talk, uint16_t flags, uint16_t type, uint64_t offset, uint64_t length);
/* The text of the last error that talk_ask() got. */
const char *talk_error_text(void);

/* What the chunks of a READ come to. */
struct content {
	unsigned int data_chunks, hole_chunks;
	unsigned char bytes[MEMORY_SIZE];
};
/* Reads and checks the reply: inside the range, no overlap, full cover. Returns the error. */
uint32_t talk_read(struct talk *talk, uint16_t flags, uint64_t offset, uint32_t length,
	struct content *content);

#endif
