/* SPDX-License-Identifier: Apache-2.0 */
/* For the client's tests: what a server says and expects, step by step. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd-protocol.h"

#define SCRIPT_STEPS 512
#define SCRIPT_BYTES (320 * 1024)
#define SCRIPT_LENGTHS 512
#define SCRIPT_REQUESTS 64

enum script_action {
	SCRIPT_SEND,
	SCRIPT_EXPECT,
	SCRIPT_TRICKLE, /* the bytes one by one, 20 ms apart, again and again */
	SCRIPT_FLOOD,   /* the bytes again and again, as fast as they go */
	SCRIPT_CLOSE,
	SCRIPT_STALL,   /* until the client leaves */
	SCRIPT_DEAF,    /* until then, taking nothing of what it says */
	SCRIPT_PAUSE,   /* for 200 ms */
	SCRIPT_TLS,     /* a handshake; what follows is encrypted */
};

struct script_step {
	enum script_action action;
	size_t begin, length; /* in the script's bytes */
};

/* How requests and replies look, as was negotiated. */
enum script_replies {
	SCRIPT_SIMPLE,
	SCRIPT_STRUCTURED,
	SCRIPT_EXTENDED,
};

struct script {
	size_t count;
	size_t used;
	struct script_step steps[SCRIPT_STEPS];
	unsigned char bytes[SCRIPT_BYTES];
	/* Where in the bytes 32-bit lengths are that the server sends. */
	size_t length_count;
	size_t lengths[SCRIPT_LENGTHS];
	/* The server sends so many bytes, and then closes or stalls. */
	size_t limit;
	bool stall_at_limit;
	size_t tls; /* the step, from 0, that is SCRIPT_TLS; 0: none */
	/* For scripted-replies.h: the requests expected so far, whose cookies count from 1. */
	enum script_replies replies;
	size_t request_count;
	uint64_t offsets[SCRIPT_REQUESTS];
};

/* An empty script, for free(). */
struct script *script_new(void);

/*
 * For cmocka: in the tests of a group, every fixed newstyle greeting goes on to TLS, by a
 * pre-shared key. Certificates would make a difference to the handshake only.
 */
int scripts_over_tls(void **state);
int scripts_in_the_clear(void **state);

void script_add(struct script *script, enum script_action action, const void *bytes, size_t length);
/* At OFFSET in the bytes added next there will be a 32-bit length. */
void script_note_length(struct script *script, size_t offset);
/* Bytes that the server sends in all. */
size_t script_sent(const struct script *script);

/* Both magics, the server's flags, the client's answer to them, and TLS for those who want it. */
void script_newstyle(struct script *script, uint16_t flags, uint32_t client_flags);
/* The greeting that everyone gives. */
void script_greeting(struct script *script);
void script_oldstyle(struct script *script, uint64_t size, uint32_t flags);

void script_expect_option(
	struct script *script, uint32_t option, const void *data, size_t length);
/* INFO or GO as the client asks them. */
void script_expect_inquiry(struct script *script, uint32_t option, const char *name);
void script_expect_abort(struct script *script);
/* As was negotiated. */
void script_expect_disconnect(struct script *script);

void script_reply(
	struct script *script, uint32_t option, uint32_t reply, const void *data, size_t length);
void script_ack(struct script *script, uint32_t option);
/* NBD_REP_SERVER. DESCRIPTION may be NULL. */
void script_listed(struct script *script, const char *name, const char *description);
void script_info_export(struct script *script, uint32_t option, uint64_t size, uint16_t flags);
void script_info_block_size(struct script *script, uint32_t option, uint32_t minimum,
	uint32_t preferred, uint32_t maximum);
void script_info_text(
	struct script *script, uint32_t option, uint16_t information, const char *text);

#endif
