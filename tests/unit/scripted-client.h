/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the server's tests: a server in a thread, a client that sends what a test says, and a
 * device in memory.
 */
#ifndef SCRIPTED_CLIENT_H
#define SCRIPTED_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "nbd-protocol.h"
#include "nbdtools.h"

#define MEMORY_SIZE (1024 * 1024)

#define MEMORY_GRAIN 4096u /* bytes: what of them is zero altogether, is a hole */

struct memory_device {
	struct nbdt_device device;
	struct nbdt_device_ops ops; /* a test takes out what it does not want */
	unsigned char *bytes;
	size_t size;
	atomic_int result;       /* that operations end with, unless 0 */
	atomic_uint operations;  /* that were begun */
	atomic_uint flushes;
	atomic_uint questions;   /* about extents */
	atomic_uint last_flags;  /* of the last request but flushes */
	atomic_bool misaligned;  /* a buffer was not aligned to 4096 */
	/* Not 0: operations complete from another thread, last first, once so many wait. */
	atomic_uint hold;
	atomic_uint held;
	struct nbdt_request *waiting[64];
	pthread_mutex_t lock;
	pthread_t completer;
	bool completer_started;
	atomic_bool closing;
};

void memory_device_init(struct memory_device *memory, size_t size);
void memory_device_destroy(struct memory_device *memory);

struct session {
	struct nbdt_server *server;
	const char *export; /* of a session that begins in the transmission phase */
	int fd;             /* the client's end; -1 once it is closed */
	int server_end;
	pthread_t thread;
	bool joined;
	atomic_bool ended; /* serving has */
	int result; /* of serving, after session_join() */
};

/* A server with the device as its only export "disk", and a session in the transmission phase. */
void session_start(struct session *session, struct nbdt_device *device);
/* One more session with a server: its handshake, or with EXPORT its transmission phase. */
void session_open(struct session *session, struct nbdt_server *server, const char *export);
/*
 * From now on the client's end of each session that has a handshake is what FILTER makes of it;
 * NULL leaves it alone.
 */
void session_filter(int (*filter)(int fd));
/*
 * Closes the client's end, if it is still open, and waits for the server's result. Any number of
 * times.
 */
int session_join(struct session *session);
/* Both for a session of session_start(). */
int session_end(struct session *session);

void send_bytes(int fd, const void *data, size_t length);
/* Fails the test if they don't come within 10 seconds. */
void receive_bytes(int fd, void *data, size_t length);
/* True if the server has closed the connection; fails the test if it sends something instead. */
bool at_end(int fd);

/* Answers the greeting. */
void greet(int fd, uint32_t client_flags);
void send_option(int fd, uint32_t option, const void *data, size_t length);
/*
 * Receives an option reply, checks its header, puts up to SIZE bytes into DATA. Returns its type.
 */
uint32_t receive_option_reply(int fd, uint32_t option, void *data, size_t size, size_t *length);
/* NBD_OPT_GO or INFO for an export with COUNT information requests. */
void send_information_option(
	int fd, uint32_t option, const char *name, const uint16_t *wishes, uint16_t count);

void send_request(
	int fd, uint16_t flags, uint16_t type, uint64_t cookie, uint64_t offset, uint32_t length);
/*
 * Receives a simple reply with COOKIE, and LENGTH bytes of payload if it is a success. Returns
 * its error.
 */
uint32_t receive_reply(int fd, uint64_t cookie, void *payload, size_t length);
/* Any cookie. */
uint32_t receive_any_reply(int fd, uint64_t *cookie);
/* A request without payload, and its reply's error. */
uint32_t ask(int fd, uint16_t flags, uint16_t type, uint64_t offset, uint32_t length);
/* True if a small read is answered as it should be: the stream is in step. */
bool in_step(int fd);

#endif
