/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client in the transmission phase, served by one thread. All memory that it will ever need
 * is there from the start: slots for the requests, buffers for their data, and the input.
 *
 * A slot goes round: free -> its payload is received -> executed -> its reply is queued -> sent,
 * and free again. Only an operation that a device leaves pending is out of the thread's hands,
 * until connection_complete() puts it on the list of those done.
 */
#ifndef NBDT_SERVER_CONNECTION_H
#define NBDT_SERVER_CONNECTION_H

#include <pthread.h>
#include <stdatomic.h>

#include "buffers.h"
#include "nbd-protocol.h"
#include "server-extents.h"
#include "server-request.h"
#include "server-workers.h"
#include "server.h"

#define CONNECTION_SLOTS 256
#define CONNECTION_INPUT ((size_t)256 * 1024) /* bytes */
#define REPLY_HEAD 44                         /* bytes: an extended hole chunk */

/*
 * A WRITE of this size is worth a receive of its own, to spare its payload the way through the
 * input buffer.
 */
#define LARGE_PAYLOAD (32u * 1024)

/* One chunk of a reply, or a simple one: the head, and the data that follow it. */
struct reply_part {
	unsigned char head[REPLY_HEAD];
	uint32_t head_length; /* bytes */
	uint32_t data_length; /* bytes */
	const void *data;
};

struct slot {
	struct nbdt_request request; /* first, since it is what the device hands back */
	struct connection *connection;
	struct slot *next; /* in the list of those free, done, or to be sent */
	struct wire_request wire;
	int result;                /* negative errno, or 0 */
	bool flush_after;          /* FUA on a device that has none of its own */
	bool flushing;             /* ... and that flush is under way */
	atomic_int_fast64_t start; /* of the execution, milliseconds; 0: not executed */
	const char *reason;        /* of a refusal, for a person; or NULL */
	size_t status_length;      /* of a BLOCK_STATUS's descriptors in the buffer, bytes */
	struct reply_part part;
	struct reply_part *parts;  /* that one, or several in a buffer; NULL: not laid out yet */
	size_t part_count;
	size_t reply_size;         /* bytes in all parts */
};

/* Slots whose replies wait to be sent, in order. */
struct reply_queue {
	struct slot *first;
	struct slot **last;
	size_t bytes; /* in all of them */
	size_t sent;  /* of the first one */
};

/* A WRITE whose payload is being received. */
struct payload {
	struct slot *slot; /* NULL: none */
	unsigned char *to; /* NULL: it is thrown away, the request being refused */
	size_t left;       /* bytes */
};

struct connection {
	struct connection *next; /* in the server's list, under its lock */
	struct nbdt_server *server;
	struct nbdt_device *device;
	struct transport *transport;
	struct request_rules rules;
	struct buffers *buffers;
	struct workers *workers;

	unsigned char *input; /* received, and not taken yet, between BEGIN and END */
	size_t begin, end;
	struct payload payload;
	bool readable;   /* a receive may find something */
	bool drained;    /* the last receive took all there was */
	bool large;      /* the last request was a large WRITE: others are likely to follow */
	bool blocked;    /* the next request waits for a slot or a buffer */
	bool unblocked;  /* ... which has come since */
	bool input_over; /* nothing more will be received: goodbye, end of stream, or stop */
	bool vanished;   /* the stream ended inside a message */
	bool stopping;   /* the server's stop was seen */
	bool refusing;   /* what comes in is answered with ESHUTDOWN */
	deadline_t deadline;

	struct reply_queue replies;
	struct slot *free_slots;
	unsigned int used;    /* slots that are not free */
	unsigned int pending; /* operations that the device has kept */

	pthread_mutex_t done_lock;
	struct slot *done; /* under done_lock */
	int done_fd;       /* eventfd, written when DONE gets its first entry */

	struct slot slots[CONNECTION_SLOTS];
};

/* server-connection.c */
int connection_new(struct nbdt_server *server, struct transport *transport,
	const struct server_choice *choice, struct connection **connection);
/* No operation may be pending. */
void connection_free(struct connection *connection);
/* NULL: none is free. */
struct slot *slot_get(struct connection *connection);
/* Gives back a slot with its buffer. */
void slot_put(struct slot *slot);

/* Nothing is received before every whole request of the input was taken. */
static inline bool input_wanted(const struct connection *connection)
{
	return !connection->input_over && !connection->blocked && !connection->unblocked;
}

/* server-input.c: one receive. */
int input_receive(struct connection *connection);
/*
 * Takes every request that is there as a whole, as long as there are slots and buffers for them.
 * -EPROTO: hang up.
 */
int input_take_requests(struct connection *connection);
/* Once no more input comes, the beginning of a message will never become a whole one. */
void input_drop_incomplete(struct connection *connection);

/* server-execute.c: carries out a request that was found good; it ends in the queue of replies. */
void slot_execute(struct slot *slot);
/* In another thread: waits for what slot_execute() did not wait for. */
void slot_work(struct slot *slot);
/* Ends a request without executing it. */
void slot_refuse(struct slot *slot, int result);
/* Takes over what other threads have completed. */
void connection_collect(struct connection *connection);

/* server-chunks.c: puts together the reply that RESULT asks for. */
void reply_build(struct slot *slot, int result);
/* One chunk each. DONE: the last one. The data are those read into the slot's buffer. */
void reply_put_data(const struct slot *slot, struct reply_part *part, uint64_t offset,
	size_t length, bool done);
void reply_put_hole(const struct slot *slot, struct reply_part *part, uint64_t offset,
	size_t length, bool done);

/*
 * server-reply.c: sends as much as the socket takes. 0, also when it is full, or a negative
 * errno.
 */
void reply_queue_add(struct slot *slot);
int reply_queue_send(struct connection *connection);

#endif
