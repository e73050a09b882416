/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers that stop, stall or lie anywhere in a conversation: the client must end that with an
 * error, and in time. For cmocka's tests; each function goes through every conversation.
 */
#ifndef HOSTILE_SERVER_H
#define HOSTILE_SERVER_H

#include "nbdtools.h"
#include "scripted-peer.h"

struct conversation {
	struct script *(*script)(void);
	/* 0 if it went as the script has it. */
	int (*converse)(struct nbdt_client *client, struct nbdt_error *err);
	bool hangup_refuses; /* an old server's way to say that it has no such export */
};

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t milliseconds(void);

void check_good_conversations(const struct conversation *conversations, size_t count);
void check_close_after_any_byte(const struct conversation *conversations, size_t count);
void check_stall_after_any_byte(const struct conversation *conversations, size_t count);
void check_stall_or_close_at_any_step(const struct conversation *conversations, size_t count);
void check_lies_about_any_length(const struct conversation *conversations, size_t count);
void check_any_byte_as_another(const struct conversation *conversations, size_t count);

#endif
