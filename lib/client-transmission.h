/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's transmission phase: requests in flight, and what the server may answer to each
 * ("Transmission").
 */
#ifndef NBDT_CLIENT_TRANSMISSION_H
#define NBDT_CLIENT_TRANSMISSION_H

#include "client-internal.h"

/* Requests in flight. */
#define CLIENT_DEPTH 16u

/*
 * Separate ranges of a READ that were told so far. Servers cut at 512 bytes if at all, so that
 * 256 KiB in the worst order need as many.
 */
#define CLIENT_RANGES 256u

struct client_range {
	uint32_t begin, end; /* bytes from the request's offset */
};

struct client_coverage {
	size_t count;
	struct client_range ranges[CLIENT_RANGES]; /* ascending, none adjacent to another */
};

struct client_request {
	uint64_t cookie; /* 0: not in flight */
	uint16_t type;   /* NBD_CMD_… */
	uint16_t flags;  /* NBD_CMD_FLAG_… */
	uint64_t offset, length;
	unsigned char *buffer; /* READ: to fill; WRITE: to send */
	bool failed;           /* an error was told */
	bool content;          /* so was a content chunk */
	struct client_coverage coverage;
};

/* One context in a BLOCK_STATUS. */
struct client_status {
	uint64_t told;              /* where what was told ends */
	struct nbdt_extent pending; /* the last of it, which may go on; length 0: none */
	bool answered;              /* in the reply under way */
};

struct client_transmission {
	uint64_t size; /* bytes */
	uint16_t flags;
	uint32_t minimum; /* of blocks, bytes */
	uint32_t piece;   /* bytes that a READ or WRITE is cut into */
	uint64_t cookie;  /* the last one used */
	unsigned int in_flight;
	struct client_request requests[CLIENT_DEPTH];
	/* of the operation under way */
	int failure;   /* the first error that was told; 0: none */
	bool shutdown; /* the server is about to go */
	struct {
		uint64_t end; /* bytes: where the range ends */
		int (*each)(const char *context, uint64_t offset, const struct nbdt_extent *extent,
			void *arg);
		void *arg;
		int stopped; /* a result of EACH */
		struct client_status contexts[NBDT_MAX_CONTEXTS];
	} status;
};

/* client-request.c: what may be asked, and asking it. */
/*
 * 0, or a negative errno: the phase, FLAGS or the range do not allow it, or the server has not
 * announced it. The operation begins with that.
 */
int client_check_request(struct nbdt_client *client, uint16_t type, unsigned int flags,
	uint64_t offset, uint64_t length, struct nbdt_error *err);
/* One that is free, as there must be, for the caller to fill in its type up to its buffer. */
struct client_request *client_new_request(struct client_transmission *transmission);
/* Sends it with a new cookie, and a new deadline. */
int client_send_request(
	struct nbdt_client *client, struct client_request *request, struct nbdt_error *err);
/* Bytes that a request without payload may be about. */
uint64_t client_longest_effect(const struct nbdt_client *client);
/* For messages: "READ". */
const char *client_command_name(uint16_t type);

/*
 * client-message.c: receives one message of the server, of whichever request. A reply that is
 * complete frees its request and renews the deadline. Errors leave the client broken; an error that
 * the server tells is none, but is kept in the transmission's FAILURE, and the first one in ERR.
 */
int client_receive_message(struct nbdt_client *client, struct nbdt_error *err);
struct client_chunk {
	uint16_t flags; /* NBD_REPLY_FLAG_… */
	uint16_t type;  /* NBD_REPLY_TYPE_… */
	uint64_t length; /* bytes of payload */
};
/* Marks the client as broken, and says that an answer to REQUEST cannot be: HOW completes "…: ". */
int client_bad_chunk(struct nbdt_client *client, const struct client_request *request,
	const char *how, struct nbdt_error *err);

/* client-failure.c: errors that the server tells. */
/*
 * Keeps an error (NBD_E…) with the server's words. It is the operation's failure unless another
 * came first.
 */
void client_fail_request(struct nbdt_client *client, struct client_request *request, uint32_t error,
	const char *text, size_t length, struct nbdt_error *err);
/* Receives the payload of an error chunk. */
int client_receive_error_chunk(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err);

/* client-io.c: every request is answered. The operation's result. */
int client_end_operation(struct nbdt_client *client);

/* client-content.c: the chunks of a READ. */
int client_receive_content(struct nbdt_client *client, struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err);
/* True if every byte was told. */
bool client_content_complete(const struct client_request *request);
/*
 * Adds a range. False if it overlaps with an earlier one, or if there are too many separate ones.
 */
bool client_cover(struct client_coverage *coverage, uint32_t begin, uint32_t end);

/* client-status.c: the chunks of a BLOCK_STATUS. */
int client_receive_status(struct nbdt_client *client, const struct client_request *request,
	const struct client_chunk *chunk, struct nbdt_error *err);
/* True if every context was told. */
bool client_status_complete(const struct nbdt_client *client);

#endif
