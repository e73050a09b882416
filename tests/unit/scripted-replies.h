/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a scripted peer in the transmission phase, and those of the handshake that shape it. */
#ifndef SCRIPTED_REPLIES_H
#define SCRIPTED_REPLIES_H

#include "nbdtools.h"
#include "script.h"

/* The client asks for them alone (SCRIPT_SIMPLE: for nothing), and gets them. */
void script_agree(struct script *script, enum script_replies replies);
/* LIST or SET_META_CONTEXT for the export "disk". */
void script_expect_queries(
	struct script *script, uint32_t option, const char *const *queries, size_t count);
void script_context(struct script *script, uint32_t option, uint32_t id, const char *name);
/* SET_META_CONTEXT for the one context NAME, which gets ID. */
void script_select(struct script *script, const char *name, uint32_t id);
/* GO for the export "disk" succeeds. */
void script_go(struct script *script, uint64_t size, uint16_t flags);
void script_go_with_blocks(struct script *script, uint64_t size, uint16_t flags, uint32_t minimum,
	uint32_t preferred, uint32_t maximum);

/* A request; WRITE's data is to be expected by the caller. Returns its cookie. */
uint64_t script_expect_request(struct script *script, uint16_t type, uint16_t flags,
	uint64_t offset, uint64_t length);

/* The whole answer to what is no READ: success, or an error (NBD_E…). */
void script_answer(struct script *script, uint64_t cookie, uint32_t error);
/* That to a READ from OFFSET on. */
void script_answer_read(struct script *script, uint64_t cookie, uint64_t offset, const void *bytes,
	size_t length);
void script_simple_reply(struct script *script, uint64_t cookie, uint32_t error);

/*
 * Chunks of structured or extended replies. FLAGS: NBD_REPLY_FLAG_DONE or 0. The header of one with
 * LENGTH bytes of payload, that are to be added by the caller:
 */
void script_chunk_header(
	struct script *script, uint64_t cookie, uint16_t flags, uint16_t type, uint64_t length);
void script_none(struct script *script, uint64_t cookie);
void script_data(struct script *script, uint64_t cookie, uint16_t flags, uint64_t offset,
	const void *bytes, size_t length);
void script_hole(struct script *script, uint64_t cookie, uint16_t flags, uint64_t offset,
	uint32_t length);
void script_error(struct script *script, uint64_t cookie, uint16_t flags, uint32_t error,
	const char *text);
void script_error_offset(struct script *script, uint64_t cookie, uint16_t flags, uint32_t error,
	const char *text, uint64_t offset);
/* Of the kind that goes with the replies. */
void script_status(struct script *script, uint64_t cookie, uint16_t flags, uint32_t context,
	const struct nbdt_extent *extents, size_t count);

#endif
