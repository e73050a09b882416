/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stddef.h>

#include "server-connection.h"
#include "wire.h"

/* To look for holes in less than this costs more than to send zeroes. */
#define HOLES_WORTHWHILE (32u * 1024)

/* Chunks of one READ: what a page of them holds. What comes after the last is sent as data. */
#define READ_CHUNKS (BUFFER_ALIGNMENT / sizeof(struct reply_part))

/* One chunk for each extent, and for the rest, which the device has not described. */
static void lay_out_chunks(struct slot *slot, const struct nbdt_extent *extents, size_t count)
{
	struct reply_part *parts = slot->parts;
	uint64_t offset = slot->wire.offset;
	uint64_t end = offset + slot->wire.length;

	slot->part_count = 0;
	for (size_t i = 0; offset < end; i++) {
		struct reply_part *part = &parts[slot->part_count++];
		uint64_t length = end - offset;

		if (i < count && extents[i].length < length)
			length = extents[i].length;
		bool done = length == end - offset;
		if (i < count && extents[i].flags & NBDT_EXTENT_ZERO)
			reply_put_hole(slot, part, offset, length, done);
		else
			reply_put_data(slot, part, offset, length, done);
		offset += length;
	}
}

/* A client that wants one chunk gets a hole only if there is nothing else (NBD_CMD_FLAG_DF). */
bool slot_find_holes(struct slot *slot)
{
	struct connection *connection = slot->connection;
	struct nbdt_device *device = connection->device;
	const struct wire_request *wire = &slot->wire;
	struct nbdt_extent extents[READ_CHUNKS - 1];
	size_t count = wire->flags & NBD_CMD_FLAG_DF ? 1 : READ_CHUNKS - 1;

	if (wire->length < HOLES_WORTHWHILE || !device->ops->extents)
		return false;
	/* What is wrong with the range, reading it will tell. */
	if (device->ops->extents(
		    device, wire->offset, wire->length, NBDT_EXTENTS_ROUGHLY, extents, &count))
		return false;
	if (count > 1) {
		slot->parts = buffers_get(connection->buffers, BUFFER_ALIGNMENT);
		if (slot->parts)
			lay_out_chunks(slot, extents, count);
		return false;
	}
	if (!(extents[0].flags & NBDT_EXTENT_ZERO) || extents[0].length < wire->length)
		return false;
	slot->parts = &slot->part;
	slot->part_count = 1;
	reply_put_hole(slot, &slot->part, wire->offset, wire->length, true);
	return true;
}

/* In place: a descriptor is never longer than the extent. Returns bytes. */
static size_t encode(void *buffer, size_t count, bool extended)
{
	struct nbdt_extent *extents = buffer;
	unsigned char *at = buffer;

	for (size_t i = 0; i < count; i++) {
		const struct nbdt_extent extent = extents[i];

		if (extended) {
			wire_put64(at, extent.length);
			wire_put64(at + 8, extent.flags);
			at += sizeof(struct nbd_block_descriptor_ext);
		} else {
			/* The range ends within 32 bits, and so it does. */
			wire_put32(at, (uint32_t)extent.length);
			wire_put32(at + 4, (uint32_t)extent.flags);
			at += sizeof(struct nbd_block_descriptor);
		}
	}
	return (size_t)(at - (unsigned char *)buffer);
}

int slot_find_status(struct slot *slot)
{
	struct nbdt_device *device = slot->connection->device;
	const struct wire_request *wire = &slot->wire;
	struct nbdt_extent *extents = slot->request.buffer;
	size_t count = STATUS_BUFFER / sizeof(extents[0]);

	if (wire->flags & NBD_CMD_FLAG_REQ_ONE)
		count = 1;
	int result = device->ops->extents(device, wire->offset, wire->length, 0, extents, &count);
	if (result)
		return result;
	slot->status_length =
		encode(extents, count, slot->connection->rules.style == STYLE_EXTENDED);
	return 0;
}
