/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a reply together: a simple one for clients like the kernel, or else chunks ("Structured
 * reply chunk message"). Data are there before the reply is, so the last chunk of content may end
 * it.
 */
#include <errno.h>
#include <string.h>

#include "server-connection.h"
#include "wire.h"

static void put16(struct reply_part *part, uint16_t value)
{
	wire_put16(part->head + part->head_length, value);
	part->head_length += sizeof(value);
}

static void put32(struct reply_part *part, uint32_t value)
{
	wire_put32(part->head + part->head_length, value);
	part->head_length += sizeof(value);
}

static void put64(struct reply_part *part, uint64_t value)
{
	wire_put64(part->head + part->head_length, value);
	part->head_length += sizeof(value);
}

/* A chunk's header. HEAD and DATA bytes of payload follow. */
static void begin_chunk(const struct slot *slot, struct reply_part *part, uint16_t type, bool done,
	size_t head)
{
	bool extended = slot->connection->rules.style == STYLE_EXTENDED;
	size_t length = head + part->data_length;

	part->head_length = 0;
	put32(part, extended ? NBD_EXTENDED_REPLY_MAGIC : NBD_STRUCTURED_REPLY_MAGIC);
	put16(part, done ? NBD_REPLY_FLAG_DONE : 0);
	put16(part, type);
	put64(part, slot->wire.cookie);
	if (extended) {
		put64(part, slot->wire.offset);
		put64(part, length);
	} else {
		put32(part, (uint32_t)length);
	}
}

static void set_data(struct reply_part *part, const void *data, size_t length)
{
	part->data = data;
	part->data_length = (uint32_t)length;
}

void reply_put_data(const struct slot *slot, struct reply_part *part, uint64_t offset,
	size_t length, bool done)
{
	const unsigned char *buffer = slot->request.buffer;

	set_data(part, buffer + (offset - slot->wire.offset), length);
	begin_chunk(slot, part, NBD_REPLY_TYPE_OFFSET_DATA, done,
		sizeof(struct nbd_chunk_offset_data));
	put64(part, offset);
}

void reply_put_hole(const struct slot *slot, struct reply_part *part, uint64_t offset,
	size_t length, bool done)
{
	set_data(part, NULL, 0);
	begin_chunk(slot, part, NBD_REPLY_TYPE_OFFSET_HOLE, done,
		sizeof(struct nbd_chunk_offset_hole));
	put64(part, offset);
	put32(part, (uint32_t)length);
}

static void put_status(const struct slot *slot, struct reply_part *part)
{
	set_data(part, slot->request.buffer, slot->status_length);
	if (slot->connection->rules.style == STYLE_EXTENDED) {
		begin_chunk(slot, part, NBD_REPLY_TYPE_BLOCK_STATUS_EXT, true,
			sizeof(struct nbd_chunk_block_status_ext));
		put32(part, ALLOCATION_CONTEXT);
		put32(part, part->data_length / sizeof(struct nbd_block_descriptor_ext));
	} else {
		begin_chunk(slot, part, NBD_REPLY_TYPE_BLOCK_STATUS, true,
			sizeof(struct nbd_chunk_block_status));
		put32(part, ALLOCATION_CONTEXT);
	}
}

/* With a sentence for a person: our own reason, or the system's word for the device's error. */
static void put_error(const struct slot *slot, struct reply_part *part, int result)
{
	const char *text = slot->reason ? slot->reason : strerrordesc_np(-result);

	set_data(part, text, text ? strlen(text) : 0);
	begin_chunk(slot, part, NBD_REPLY_TYPE_ERROR, true, sizeof(struct nbd_chunk_error));
	put32(part, request_wire_error(&slot->wire, result));
	put16(part, (uint16_t)part->data_length);
}

static void put_simple(struct slot *slot, int result)
{
	struct reply_part *part = &slot->part;
	struct nbd_simple_reply_header *header = (struct nbd_simple_reply_header *)part->head;
	bool data = !result && slot->wire.type == NBD_CMD_READ;

	wire_put32(&header->magic, NBD_SIMPLE_REPLY_MAGIC);
	wire_put32(&header->error, request_wire_error(&slot->wire, result));
	wire_put64(&header->cookie, slot->wire.cookie);
	part->head_length = sizeof(*header);
	set_data(part, slot->request.buffer, data ? slot->wire.length : 0);
}

/* The one chunk of a reply that was not laid out before. */
static void put_chunk(struct slot *slot, int result)
{
	struct reply_part *part = &slot->part;

	if (result) {
		put_error(slot, part, result);
	} else if (slot->wire.type == NBD_CMD_READ && slot->wire.length) {
		reply_put_data(slot, part, slot->wire.offset, slot->wire.length, true);
	} else if (slot->wire.type == NBD_CMD_BLOCK_STATUS) {
		put_status(slot, part);
	} else {
		set_data(part, NULL, 0);
		begin_chunk(slot, part, NBD_REPLY_TYPE_NONE, true, 0);
	}
}

static size_t sum_up(const struct slot *slot)
{
	size_t size = 0;

	for (size_t i = 0; i < slot->part_count; i++)
		size += slot->parts[i].head_length + (size_t)slot->parts[i].data_length;
	return size;
}

void reply_build(struct slot *slot, int result)
{
	if (slot->parts && !result) {
		slot->reply_size = sum_up(slot);
		return;
	}
	/* Chunks of content that were laid out are worth nothing when the reading fails. */
	if (slot->parts && slot->parts != &slot->part)
		buffers_put(slot->connection->buffers, slot->parts);
	if (slot->connection->rules.style == STYLE_SIMPLE)
		put_simple(slot, result);
	else
		put_chunk(slot, result);
	slot->parts = &slot->part;
	slot->part_count = 1;
	slot->reply_size = slot->part.head_length + (size_t)slot->part.data_length;
}
