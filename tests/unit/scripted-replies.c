/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scripted-replies.h"
#include "wire.h"

void script_agree(struct script *script, enum script_replies replies)
{
	static const uint32_t options[] = {
		[SCRIPT_STRUCTURED] = NBD_OPT_STRUCTURED_REPLY,
		[SCRIPT_EXTENDED] = NBD_OPT_EXTENDED_HEADERS,
	};

	script->replies = replies;
	if (replies == SCRIPT_SIMPLE)
		return;
	script_expect_option(script, options[replies], NULL, 0);
	script_ack(script, options[replies]);
}

static size_t put_string(unsigned char *at, const char *text)
{
	wire_put32(at, (uint32_t)strlen(text));
	memcpy(at + 4, text, strlen(text));
	return 4 + strlen(text);
}

void script_expect_queries(
	struct script *script, uint32_t option, const char *const *queries, size_t count)
{
	unsigned char data[8192];
	size_t length = put_string(data, "disk");

	wire_put32(data + length, (uint32_t)count);
	length += 4;
	for (size_t i = 0; i < count; i++) {
		assert_true(length + 4 + strlen(queries[i]) <= sizeof(data));
		length += put_string(data + length, queries[i]);
	}
	script_expect_option(script, option, data, length);
}

void script_context(struct script *script, uint32_t option, uint32_t id, const char *name)
{
	unsigned char data[4 + NBDT_MAX_STRING + 1];
	size_t length = strlen(name);

	assert_true(length <= NBDT_MAX_STRING + 1);
	wire_put32(data, id);
	memcpy(data + 4, name, length);
	script_reply(script, option, NBD_REP_META_CONTEXT, data, 4 + length);
}

void script_select(struct script *script, const char *name, uint32_t id)
{
	script_expect_queries(script, NBD_OPT_SET_META_CONTEXT, &name, 1);
	script_context(script, NBD_OPT_SET_META_CONTEXT, id, name);
	script_ack(script, NBD_OPT_SET_META_CONTEXT);
}

void script_go(struct script *script, uint64_t size, uint16_t flags)
{
	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_info_export(script, NBD_OPT_GO, size, flags);
	script_ack(script, NBD_OPT_GO);
}

void script_go_with_blocks(struct script *script, uint64_t size, uint16_t flags, uint32_t minimum,
	uint32_t preferred, uint32_t maximum)
{
	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_info_block_size(script, NBD_OPT_GO, minimum, preferred, maximum);
	script_info_export(script, NBD_OPT_GO, size, flags);
	script_ack(script, NBD_OPT_GO);
}

static void expect_compact(struct script *script, uint16_t type, uint16_t flags, uint64_t cookie,
	uint64_t offset, uint64_t length)
{
	struct nbd_request_header request;

	wire_put32(&request.magic, NBD_REQUEST_MAGIC);
	wire_put16(&request.flags, flags);
	wire_put16(&request.type, type);
	wire_put64(&request.cookie, cookie);
	wire_put64(&request.offset, offset);
	wire_put32(&request.length, (uint32_t)length);
	script_add(script, SCRIPT_EXPECT, &request, sizeof(request));
}

static void expect_extended(struct script *script, uint16_t type, uint16_t flags, uint64_t cookie,
	uint64_t offset, uint64_t length)
{
	struct nbd_extended_request_header request;

	if (type == NBD_CMD_WRITE)
		flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
	wire_put32(&request.magic, NBD_EXTENDED_REQUEST_MAGIC);
	wire_put16(&request.flags, flags);
	wire_put16(&request.type, type);
	wire_put64(&request.cookie, cookie);
	wire_put64(&request.offset, offset);
	wire_put64(&request.length, length);
	script_add(script, SCRIPT_EXPECT, &request, sizeof(request));
}

static void expect_message(struct script *script, uint16_t type, uint16_t flags, uint64_t cookie,
	uint64_t offset, uint64_t length)
{
	if (script->replies == SCRIPT_EXTENDED)
		expect_extended(script, type, flags, cookie, offset, length);
	else
		expect_compact(script, type, flags, cookie, offset, length);
}

uint64_t script_expect_request(struct script *script, uint16_t type, uint16_t flags,
	uint64_t offset, uint64_t length)
{
	assert_true(script->request_count < SCRIPT_REQUESTS);
	script->offsets[script->request_count++] = offset;
	expect_message(script, type, flags, script->request_count, offset, length);
	return script->request_count;
}

void script_expect_disconnect(struct script *script)
{
	expect_message(script, NBD_CMD_DISC, 0, 0, 0, 0);
}

void script_answer(struct script *script, uint64_t cookie, uint32_t error)
{
	if (script->replies == SCRIPT_SIMPLE)
		script_simple_reply(script, cookie, error);
	else if (error)
		script_error(script, cookie, NBD_REPLY_FLAG_DONE, error, "");
	else
		script_none(script, cookie);
}

void script_answer_read(struct script *script, uint64_t cookie, uint64_t offset, const void *bytes,
	size_t length)
{
	if (script->replies != SCRIPT_SIMPLE) {
		script_data(script, cookie, NBD_REPLY_FLAG_DONE, offset, bytes, length);
		return;
	}
	script_simple_reply(script, cookie, 0);
	script_add(script, SCRIPT_SEND, bytes, length);
}

void script_simple_reply(struct script *script, uint64_t cookie, uint32_t error)
{
	struct nbd_simple_reply_header header;

	wire_put32(&header.magic, NBD_SIMPLE_REPLY_MAGIC);
	wire_put32(&header.error, error);
	wire_put64(&header.cookie, cookie);
	script_add(script, SCRIPT_SEND, &header, sizeof(header));
}

static void structured_header(
	struct script *script, uint64_t cookie, uint16_t flags, uint16_t type, uint64_t length)
{
	struct nbd_structured_reply_header header;

	wire_put32(&header.magic, NBD_STRUCTURED_REPLY_MAGIC);
	wire_put16(&header.flags, flags);
	wire_put16(&header.type, type);
	wire_put64(&header.cookie, cookie);
	wire_put32(&header.length, (uint32_t)length);
	script_note_length(script, offsetof(struct nbd_structured_reply_header, length));
	script_add(script, SCRIPT_SEND, &header, sizeof(header));
}

/* The header of a cookie that no request has is none's. */
static void extended_header(
	struct script *script, uint64_t cookie, uint16_t flags, uint16_t type, uint64_t length)
{
	struct nbd_extended_reply_header header;
	bool known = cookie && cookie <= script->request_count;

	wire_put32(&header.magic, NBD_EXTENDED_REPLY_MAGIC);
	wire_put16(&header.flags, flags);
	wire_put16(&header.type, type);
	wire_put64(&header.cookie, cookie);
	wire_put64(&header.offset, known ? script->offsets[cookie - 1] : 0);
	wire_put64(&header.length, length);
	/* Both halves. */
	script_note_length(script, offsetof(struct nbd_extended_reply_header, length));
	script_note_length(script, offsetof(struct nbd_extended_reply_header, length) + 4);
	script_add(script, SCRIPT_SEND, &header, sizeof(header));
}

void script_chunk_header(
	struct script *script, uint64_t cookie, uint16_t flags, uint16_t type, uint64_t length)
{
	if (script->replies == SCRIPT_EXTENDED)
		extended_header(script, cookie, flags, type, length);
	else
		structured_header(script, cookie, flags, type, length);
}

void script_none(struct script *script, uint64_t cookie)
{
	script_chunk_header(script, cookie, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_NONE, 0);
}

void script_data(struct script *script, uint64_t cookie, uint16_t flags, uint64_t offset,
	const void *bytes, size_t length)
{
	struct nbd_chunk_offset_data data;

	wire_put64(&data.offset, offset);
	script_chunk_header(
		script, cookie, flags, NBD_REPLY_TYPE_OFFSET_DATA, sizeof(data) + length);
	script_add(script, SCRIPT_SEND, &data, sizeof(data));
	script_add(script, SCRIPT_SEND, bytes, length);
}

void script_hole(struct script *script, uint64_t cookie, uint16_t flags, uint64_t offset,
	uint32_t length)
{
	struct nbd_chunk_offset_hole hole;

	wire_put64(&hole.offset, offset);
	wire_put32(&hole.length, length);
	script_chunk_header(
		script, cookie, flags, NBD_REPLY_TYPE_OFFSET_HOLE, sizeof(hole));
	script_note_length(script, offsetof(struct nbd_chunk_offset_hole, length));
	script_add(script, SCRIPT_SEND, &hole, sizeof(hole));
}

static void add_error(struct script *script, uint32_t error, const char *text)
{
	struct nbd_chunk_error chunk;

	wire_put32(&chunk.error, error);
	wire_put16(&chunk.length, (uint16_t)strlen(text));
	script_add(script, SCRIPT_SEND, &chunk, sizeof(chunk));
	if (*text)
		script_add(script, SCRIPT_SEND, text, strlen(text));
}

void script_error(struct script *script, uint64_t cookie, uint16_t flags, uint32_t error,
	const char *text)
{
	script_chunk_header(script, cookie, flags, NBD_REPLY_TYPE_ERROR,
		sizeof(struct nbd_chunk_error) + strlen(text));
	add_error(script, error, text);
}

void script_error_offset(struct script *script, uint64_t cookie, uint16_t flags, uint32_t error,
	const char *text, uint64_t offset)
{
	unsigned char bytes[8];

	wire_put64(bytes, offset);
	script_chunk_header(script, cookie, flags, NBD_REPLY_TYPE_ERROR_OFFSET,
		sizeof(struct nbd_chunk_error) + strlen(text) + sizeof(bytes));
	add_error(script, error, text);
	script_add(script, SCRIPT_SEND, bytes, sizeof(bytes));
}

static void add_descriptor(struct script *script, const struct nbdt_extent *extent)
{
	struct nbd_block_descriptor compact;
	struct nbd_block_descriptor_ext extended;

	if (script->replies == SCRIPT_EXTENDED) {
		wire_put64(&extended.length, extent->length);
		wire_put64(&extended.flags, extent->flags);
		script_add(script, SCRIPT_SEND, &extended, sizeof(extended));
	} else {
		wire_put32(&compact.length, (uint32_t)extent->length);
		wire_put32(&compact.flags, (uint32_t)extent->flags);
		script_add(script, SCRIPT_SEND, &compact, sizeof(compact));
	}
}

void script_status(struct script *script, uint64_t cookie, uint16_t flags, uint32_t context,
	const struct nbdt_extent *extents, size_t count)
{
	bool extended = script->replies == SCRIPT_EXTENDED;
	unsigned char bytes[8];

	wire_put32(bytes, context);
	wire_put32(bytes + 4, (uint32_t)count);
	script_chunk_header(script, cookie, flags,
		extended ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT : NBD_REPLY_TYPE_BLOCK_STATUS,
		extended ? 8 + 16 * count : 4 + 8 * count);
	script_add(script, SCRIPT_SEND, bytes, extended ? 8 : 4);
	for (size_t i = 0; i < count; i++)
		add_descriptor(script, &extents[i]);
}
