/* SPDX-License-Identifier: Apache-2.0 */
/* For the client's tests: a client in conversation with a scripted peer. */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include <pthread.h>

#include "nbdtools.h"
#include "scripted-peer.h"
#include "scripted-replies.h"

#define FIXTURE_FLAGS (NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH)
#define FIXTURE_ALL_FLAGS 0x0dfdu /* but READ_ONLY */

struct fixture {
	struct script *script;
	struct nbdt_client *client;
	struct nbdt_export export;
	struct nbdt_error err;
	struct peer *peer;
};

/* cmocka's functions: with a script that begins with the usual greeting, or that is empty. */
int fixture_set_up(void **state);
int fixture_set_up_empty(void **state);
int fixture_tear_down(void **state);

/*
 * What this thread has allocated since heap_watch() stayed under 512 KiB, which is enough for a
 * client whatever the server says. Ends the watch.
 */
void check_client_memory(void);

/*
 * nbdt_client_adopt(), and TLS if the script has it: then TIMEOUT is for everything behind the
 * handshake together. CLIENT is not set when it fails. Its memory is checked, then or once it is
 * closed.
 */
int scripted_client_open(const struct script *script, int fd, unsigned int timeout,
	struct nbdt_client **client, struct nbdt_error *err);
void scripted_client_close(struct nbdt_client *client);
/* Starts the peer, and a client that gets as far as the greeting. */
void fixture_start(struct fixture *fixture);
/* The same, with another timeout, in milliseconds. */
void fixture_start_within(struct fixture *fixture, unsigned int timeout);
/* As far as script_agree() goes. */
void fixture_negotiate(struct fixture *fixture);
/* On to the transmission phase of "disk". CONTEXT, unless NULL, is selected for it. */
void fixture_go(struct fixture *fixture, const char *context);
/* OPTION: NBD_OPT_INFO or NBD_OPT_GO. */
int fixture_ask(struct fixture *fixture, uint32_t option, const char *name);
/* Each kind of request, with a buffer of its own of up to 64 MiB. */
enum command { PREAD, PWRITE, FLUSH, TRIM, ZERO, CACHE, STATUS };
int fixture_issue(struct fixture *fixture, enum command command, uint64_t offset, uint64_t length,
	unsigned int flags);

/*
 * A script up to one request, for FIXTURE_LENGTH bytes at FIXTURE_OFFSET unless it is a FLUSH,
 * whose cookie is returned; with structured replies base:allocation is selected.
 */
#define FIXTURE_OFFSET 4096u
#define FIXTURE_LENGTH 16u
#define FIXTURE_CONTEXT 7u
uint64_t fixture_begin(struct script *script, enum script_replies replies, enum command command,
	unsigned int flags);
/*
 * Runs such a script: the request fails because the protocol is broken, with an error that says
 * SAID, and the connection is used no more. NAME is for messages.
 */
void fixture_check_broken(struct fixture *fixture, const char *name, enum command command,
	unsigned int flags, const char *said);

/* The last error is CODE, says WORD, and left no export behind. */
void fixture_check_error(struct fixture *fixture, int code, const char *word);
/* Closes the client; the peer must have played all of its script, and heard nothing else. */
void fixture_finish(struct fixture *fixture);
/* Closes the client, whatever the peer thinks of that. */
void fixture_leave(struct fixture *fixture);

/* All of these, for a question that fails. */
void fixture_check_failure(struct fixture *fixture, uint32_t option, const char *name, int code,
	const char *word);

/* Fails to connect to URI, which it frees, with CODE, and says WORD. */
void check_connect_fails(
	struct nbdt_uri *uri, unsigned int timeout, int code, const char *word);

/* An oldstyle server, which has nothing but its greeting, for one client of a listening socket. */
struct greeter {
	int listener;
	pthread_t thread;
};
void greeter_start(struct greeter *greeter, int listener);
/* Waits until the client has left, and closes the listening socket. */
void greeter_finish(struct greeter *greeter);
/* The socket of a client that connected to it, blocking and closed on exec. Frees the URI. */
int connect_and_take(struct nbdt_uri *uri);

#endif
