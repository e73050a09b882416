/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scripted-chunks.h"
#include "wire.h"

static char error_text[NBDT_MAX_STRING + 1];

void talk_begin(struct talk *talk, struct nbdt_server *server)
{
	memset(talk, 0, sizeof(*talk));
	session_open(&talk->session, server, NULL);
	talk->fd = talk->session.fd;
	greet(talk->fd, NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES);
}

uint32_t talk_try(struct talk *talk, uint32_t option, const void *data, size_t length)
{
	char reply[8192];
	size_t reply_length;

	send_option(talk->fd, option, data, length);
	uint32_t type = receive_option_reply(
		talk->fd, option, reply, sizeof(reply), &reply_length);
	/* An error says why. */
	assert_true(type < NBD_REP_FLAG_ERROR || reply_length > 0);
	talk->extended |= option == NBD_OPT_EXTENDED_HEADERS && type == NBD_REP_ACK;
	return type;
}

static size_t put_string(unsigned char *at, const char *text)
{
	wire_put32(at, (uint32_t)strlen(text));
	memcpy(at + 4, text, strlen(text));
	return 4 + strlen(text);
}

uint32_t talk_contexts(struct talk *talk, uint32_t option, const char *export,
	const char *const *queries, uint32_t count, unsigned int *found, uint32_t *id)
{
	unsigned char data[8192];
	size_t length = put_string(data, export);

	wire_put32(data + length, count);
	length += 4;
	for (uint32_t i = 0; i < count; i++)
		length += put_string(data + length, queries[i]);
	send_option(talk->fd, option, data, length);
	for (*found = 0;; ++*found) {
		uint32_t type = receive_option_reply(talk->fd, option, data, sizeof(data), &length);
		if (type != NBD_REP_META_CONTEXT)
			return type;
		assert_int_equal(length, 4 + strlen("base:allocation"));
		assert_memory_equal(data + 4, "base:allocation", length - 4);
		*id = wire_get32(data);
	}
}

uint32_t talk_go(struct talk *talk, const char *export, bool block_sizes)
{
	static const uint16_t wish = NBD_INFO_BLOCK_SIZE;
	unsigned char data[4096];
	size_t length;
	uint32_t type;

	send_information_option(talk->fd, NBD_OPT_GO, export, &wish, block_sizes ? 1 : 0);
	do {
		type = receive_option_reply(talk->fd, NBD_OPT_GO, data, sizeof(data), &length);
		if (type == NBD_REP_INFO && wire_get16(data) == NBD_INFO_EXPORT)
			talk->flags = wire_get16(data + 10);
	} while (type == NBD_REP_INFO);
	return type;
}

void talk_open(struct talk *talk, struct nbdt_server *server, unsigned int wishes)
{
	static const char *const query = "base:allocation";
	unsigned int found;
	uint32_t id;

	talk_begin(talk, server);
	if (wishes & TALK_STRUCTURED)
		assert_int_equal(
			talk_try(talk, NBD_OPT_STRUCTURED_REPLY, NULL, 0), NBD_REP_ACK);
	if (wishes & TALK_EXTENDED)
		assert_int_equal(
			talk_try(talk, NBD_OPT_EXTENDED_HEADERS, NULL, 0), NBD_REP_ACK);
	if (wishes & TALK_ALLOCATION) {
		assert_int_equal(talk_contexts(talk, NBD_OPT_SET_META_CONTEXT, "disk", &query, 1,
			&found, &id), NBD_REP_ACK);
		assert_int_equal(found, 1);
	}
	assert_int_equal(talk_go(talk, "disk", wishes & TALK_BLOCK_SIZES), NBD_REP_ACK);
}

int talk_close(struct talk *talk)
{
	return session_join(&talk->session);
}

void talk_request(struct talk *talk, uint16_t flags, uint16_t type, uint64_t cookie,
	uint64_t offset, uint64_t length)
{
	struct nbd_extended_request_header header;

	if (!talk->extended) {
		send_request(talk->fd, flags, type, cookie, offset, (uint32_t)length);
		return;
	}
	wire_put32(&header.magic, NBD_EXTENDED_REQUEST_MAGIC);
	wire_put16(&header.flags, flags);
	wire_put16(&header.type, type);
	wire_put64(&header.cookie, cookie);
	wire_put64(&header.offset, offset);
	wire_put64(&header.length, length);
	send_bytes(talk->fd, &header, sizeof(header));
}

static void receive_structured_header(struct talk *talk, struct chunk *chunk)
{
	struct nbd_structured_reply_header header;

	receive_bytes(talk->fd, &header, sizeof(header));
	assert_int_equal(wire_get32(&header.magic), NBD_STRUCTURED_REPLY_MAGIC);
	chunk->flags = wire_get16(&header.flags);
	chunk->type = wire_get16(&header.type);
	chunk->cookie = wire_get64(&header.cookie);
	chunk->length = wire_get32(&header.length);
}

static void receive_extended_header(struct talk *talk, struct chunk *chunk)
{
	struct nbd_extended_reply_header header;

	receive_bytes(talk->fd, &header, sizeof(header));
	assert_int_equal(wire_get32(&header.magic), NBD_EXTENDED_REPLY_MAGIC);
	chunk->flags = wire_get16(&header.flags);
	chunk->type = wire_get16(&header.type);
	chunk->cookie = wire_get64(&header.cookie);
	chunk->offset = wire_get64(&header.offset);
	chunk->length = wire_get64(&header.length);
}

void talk_receive(struct talk *talk, struct chunk *chunk)
{
	if (talk->extended)
		receive_extended_header(talk, chunk);
	else
		receive_structured_header(talk, chunk);
	assert_int_equal(chunk->flags & ~NBD_REPLY_FLAG_DONE, 0);
	assert_true(chunk->length <= sizeof(chunk->payload));
	receive_bytes(talk->fd, chunk->payload, chunk->length);
}

static uint32_t take_error(const struct chunk *chunk)
{
	uint32_t error = wire_get32(chunk->payload);
	size_t length = wire_get16(chunk->payload + 4);

	assert_int_equal(chunk->type, NBD_REPLY_TYPE_ERROR);
	assert_int_equal(chunk->flags, NBD_REPLY_FLAG_DONE);
	assert_int_equal(chunk->length, 6 + length);
	assert_in_range(length, 1, NBDT_MAX_STRING);
	assert_int_not_equal(error, 0);
	memcpy(error_text, chunk->payload + 6, length);
	error_text[length] = '\0';
	return error;
}

uint32_t talk_ask(
	struct talk *talk, uint16_t flags, uint16_t type, uint64_t offset, uint64_t length)
{
	static struct chunk chunk;

	talk_request(talk, flags, type, 0xabcdef, offset, length);
	talk_receive(talk, &chunk);
	assert_true(chunk.cookie == 0xabcdef);
	assert_true(!talk->extended || chunk.offset == offset);
	if (chunk.type != NBD_REPLY_TYPE_NONE)
		return take_error(&chunk);
	assert_int_equal(chunk.flags, NBD_REPLY_FLAG_DONE);
	assert_int_equal(chunk.length, 0);
	return 0;
}

const char *talk_error_text(void)
{
	return error_text;
}

/* One chunk of content: the bytes of the request that it covers are counted off in COVERED. */
static void take_content(const struct chunk *chunk, uint64_t offset, uint32_t length,
	struct content *content, unsigned char *covered)
{
	uint64_t at = wire_get64(chunk->payload);
	uint64_t size = chunk->length - 8;

	if (chunk->type == NBD_REPLY_TYPE_OFFSET_HOLE) {
		assert_int_equal(chunk->length, 12);
		size = wire_get32(chunk->payload + 8);
		content->hole_chunks++;
	} else {
		assert_int_equal(chunk->type, NBD_REPLY_TYPE_OFFSET_DATA);
		content->data_chunks++;
	}
	assert_true(chunk->length >= 9 && size > 0);
	assert_true(at >= offset && at - offset <= length && size <= length - (at - offset));
	for (uint64_t i = at - offset; i < at - offset + size; i++)
		assert_int_equal(covered[i]++, 0);
	if (chunk->type == NBD_REPLY_TYPE_OFFSET_HOLE)
		memset(content->bytes + (at - offset), 0, size);
	else
		memcpy(content->bytes + (at - offset), chunk->payload + 8, size);
}

uint32_t talk_read(struct talk *talk, uint16_t flags, uint64_t offset, uint32_t length,
	struct content *content)
{
	static unsigned char covered[MEMORY_SIZE];
	static struct chunk chunk;

	memset(covered, 0, sizeof(covered));
	content->data_chunks = content->hole_chunks = 0;
	talk_request(talk, flags, NBD_CMD_READ, 0x1234, offset, length);
	do {
		talk_receive(talk, &chunk);
		assert_true(chunk.cookie == 0x1234);
		assert_true(!talk->extended || chunk.offset == offset);
		if (chunk.type & NBD_REPLY_TYPE_FLAG_ERROR)
			return take_error(&chunk);
		take_content(&chunk, offset, length, content, covered);
	} while (!(chunk.flags & NBD_REPLY_FLAG_DONE));
	for (uint32_t i = 0; i < length; i++)
		assert_int_equal(covered[i], 1);
	return 0;
}
