/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client in the transmission phase, against a server that may answer anything. The first byte
 * chooses simple, structured or extended replies, the second what the client does, a bit for each:
 * READ, READ with DF, WRITE, BLOCK_STATUS, BLOCK_STATUS with REQ_ONE, FLUSH, WRITE_ZEROES, READ
 * again. All else is what the server says to that; the handshake is made up here.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "nbd-protocol.h"
#include "wire.h"

/* Milliseconds, never reached: all that will ever come is there. */
#define TIMEOUT 60000
#define EXPORT_SIZE (UINT64_C(3) << 30)
#define FLAGS 0xdfd
/* Small blocks, so that several requests are in flight for little data. */
#define BLOCK 512
#define DATA (4 * BLOCK)
/* BLOCK_STATUS of so much takes two requests without extended headers. */
#define RANGE (UINT64_C(3) << 29)
#define CONTEXTS 2

static const char *const names[CONTEXTS] = { "base:allocation", "qemu:dirty-bitmap:a" };

enum shape { SIMPLE, STRUCTURED, EXTENDED, SHAPES };

struct stream {
	size_t length;
	uint8_t bytes[128 * 1024];
};

static void add(struct stream *stream, const void *bytes, size_t length)
{
	if (length > sizeof(stream->bytes) - stream->length)
		length = sizeof(stream->bytes) - stream->length;
	memcpy(stream->bytes + stream->length, bytes, length);
	stream->length += length;
}

static void add_reply(
	struct stream *stream, uint32_t option, uint32_t type, const void *data, size_t length)
{
	struct nbd_option_reply_header header;

	wire_put64(&header.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.reply, type);
	wire_put32(&header.length, (uint32_t)length);
	add(stream, &header, sizeof(header));
	add(stream, data, length);
}

static void add_contexts(struct stream *stream)
{
	for (size_t i = 0; i < CONTEXTS; i++) {
		uint8_t data[64];

		wire_put32(data, (uint32_t)i + 1);
		memcpy(data + 4, names[i], strlen(names[i]));
		add_reply(stream, NBD_OPT_SET_META_CONTEXT, NBD_REP_META_CONTEXT, data,
			4 + strlen(names[i]));
	}
	add_reply(stream, NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK, "", 0);
}

static void add_handshake(struct stream *stream, enum shape shape)
{
	static const uint32_t options[] = { 0, NBD_OPT_STRUCTURED_REPLY, NBD_OPT_EXTENDED_HEADERS };
	uint8_t export[12], blocks[14];

	add(stream, "NBDMAGICIHAVEOPT\0\3", 18);
	if (shape != SIMPLE) {
		add_reply(stream, options[shape], NBD_REP_ACK, "", 0);
		add_contexts(stream);
	}
	wire_put16(export, NBD_INFO_EXPORT);
	wire_put64(export + 2, EXPORT_SIZE);
	wire_put16(export + 10, FLAGS);
	wire_put16(blocks, NBD_INFO_BLOCK_SIZE);
	wire_put32(blocks + 2, 1);
	wire_put32(blocks + 6, BLOCK);
	wire_put32(blocks + 10, BLOCK);
	add_reply(stream, NBD_OPT_GO, NBD_REP_INFO, export, sizeof(export));
	add_reply(stream, NBD_OPT_GO, NBD_REP_INFO, blocks, sizeof(blocks));
	add_reply(stream, NBD_OPT_GO, NBD_REP_ACK, "", 0);
}

static void choose(struct nbdt_client *client, enum shape shape)
{
	static const unsigned int wishes[] = { 0, NBDT_WANT_STRUCTURED, NBDT_WANT_EXTENDED };
	struct nbdt_export export;
	int result = nbdt_client_negotiate(client, wishes[shape], NULL);

	if (!result && shape != SIMPLE)
		result = nbdt_client_set_contexts(client, "", names, CONTEXTS, NULL);
	if (!result)
		result = nbdt_client_go(client, "", &export, NULL);
	fuzz_check(!result, "the handshake that is made up here does not work");
	nbdt_export_clear(&export);
}

/* What block status has told of each context. */
struct told {
	uint64_t begin, end;
	struct {
		uint64_t end;
		uint64_t flags;
	} contexts[CONTEXTS];
};

static int check_extent(
	const char *context, uint64_t offset, const struct nbdt_extent *extent, void *arg)
{
	struct told *told = arg;
	size_t which = strcmp(context, names[0]) ? 1 : 0;

	fuzz_check(!strcmp(context, names[which]), "an unknown context");
	fuzz_check(offset == told->contexts[which].end, "a gap between extents");
	fuzz_check(extent->length && extent->length <= told->end - offset, "an extent's length");
	fuzz_check(offset == told->begin || extent->flags != told->contexts[which].flags,
		"equal extents are not merged");
	told->contexts[which].end = offset + extent->length;
	told->contexts[which].flags = extent->flags;
	return 0;
}

static int map(struct nbdt_client *client, unsigned int flags, struct nbdt_error *err)
{
	struct told told = { .begin = 1000, .end = 1000 + RANGE };
	int result;

	for (size_t i = 0; i < CONTEXTS; i++)
		told.contexts[i].end = told.begin;
	result = nbdt_client_block_status(
		client, told.begin, RANGE, flags, check_extent, &told, err);
	for (size_t i = 0; !result && i < CONTEXTS; i++)
		fuzz_check(flags ? told.contexts[i].end > told.begin
				 : told.contexts[i].end == told.end,
			"a context was not told");
	return result;
}

static int act(struct nbdt_client *client, unsigned int action, struct nbdt_error *err)
{
	uint8_t data[DATA] = { 0 };

	switch (action) {
	case 0:
		return nbdt_client_pread(client, data, DATA, 100, 0, err);
	case 1:
		return nbdt_client_pread(client, data, BLOCK, 0, NBDT_CMD_FLAG_DF, err);
	case 2:
		return nbdt_client_pwrite(client, data, DATA, 0, NBDT_CMD_FLAG_FUA, err);
	case 3:
		return map(client, 0, err);
	case 4:
		return map(client, NBDT_CMD_FLAG_REQ_ONE, err);
	case 5:
		return nbdt_client_flush(client, err);
	case 6:
		return nbdt_client_zero(client, 0, EXPORT_SIZE, 0, err);
	default:
		return nbdt_client_pread(client, data, 16, 0, 0, err);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stream stream;
	struct nbdt_client *client;
	int other;

	if (size < 2)
		return -1;
	enum shape shape = (enum shape)(data[0] % SHAPES);
	stream.length = 0;
	add_handshake(&stream, shape);
	add(&stream, data + 2, size - 2);
	int fd = fuzz_socket(stream.bytes, stream.length, &other);
	fuzz_check(!nbdt_client_adopt(fd, TIMEOUT, &client, NULL), "no greeting");
	choose(client, shape);
	for (unsigned int action = 0; action < 8; action++) {
		struct nbdt_error err = { 0 };
		int result = data[1] & 1u << action ? act(client, action, &err) : 0;

		if (result)
			fuzz_check_error(result, &err);
		fuzz_check(result != -ETIMEDOUT, "the client waited after the end");
	}
	nbdt_client_close(client);
	close(other);
	return 0;
}
