/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving half of the transmission phase: bytes from the socket, and requests out of them. */
#include <errno.h>
#include <string.h>

#include "server-connection.h"

/*
 * What is received at once while large WRITEs come in: the next header, and no more of its
 * payload than can be copied cheaply.
 */
#define SMALL_RECEIVE 2048u
/*
 * Replies are sent during a batch when so much has come together, while it is still in the CPU's
 * cache.
 */
#define REPLY_BATCH ((size_t)256 * 1024)

/*
 * One receive into the payload's own buffer, or, for what is skipped, into the input, which is
 * empty then.
 */
static ssize_t receive_payload(struct connection *connection)
{
	struct transport *transport = connection->transport;
	struct payload *payload = &connection->payload;
	size_t size = payload->left;

	if (!payload->to && size > CONNECTION_INPUT)
		size = CONNECTION_INPUT;
	ssize_t received = transport->ops->receive(
		transport, payload->to ? payload->to : connection->input, size);
	if (received > 0) {
		payload->left -= (size_t)received;
		if (payload->to)
			payload->to += received;
	}
	return received;
}

static ssize_t receive_messages(struct connection *connection)
{
	struct transport *transport = connection->transport;
	size_t kept = connection->end - connection->begin;

	memmove(connection->input, connection->input + connection->begin, kept);
	connection->begin = 0;
	connection->end = kept;
	size_t size = connection->large ? SMALL_RECEIVE : CONNECTION_INPUT - kept;
	ssize_t received =
		transport->ops->receive(transport, connection->input + kept, size);
	if (received > 0)
		connection->end += (size_t)received;
	connection->drained = received >= 0 && (size_t)received < size;
	return received;
}

static void note_end_of_stream(struct connection *connection)
{
	connection->input_over = true;
	connection->vanished = connection->begin != connection->end || connection->payload.slot;
}

int input_receive(struct connection *connection)
{
	ssize_t received = connection->payload.slot ? receive_payload(connection)
						    : receive_messages(connection);

	if (received == -EAGAIN) {
		connection->readable = false;
		return 0;
	}
	if (received < 0)
		return (int)received;
	if (received == 0)
		note_end_of_stream(connection);
	return 0;
}

/* Moves what the input has of the payload. True when the payload is whole. */
static bool take_payload(struct connection *connection)
{
	struct payload *payload = &connection->payload;
	size_t size = connection->end - connection->begin;

	if (size > payload->left)
		size = payload->left;
	if (payload->to) {
		memcpy(payload->to, connection->input + connection->begin, size);
		payload->to += size;
	}
	connection->begin += size;
	payload->left -= size;
	return payload->left == 0;
}

/* Executes, or refuses, the request whose payload (if it has one) is there. */
static void run_request(struct slot *slot)
{
	if (slot->result)
		slot_refuse(slot, slot->result);
	else
		slot_execute(slot);
}

static int judge(
	const struct connection *connection, const struct wire_request *wire, const char **reason)
{
	if (connection->refusing) {
		*reason = "the server is shutting down";
		return -ESHUTDOWN;
	}
	return request_check(&connection->rules, wire, reason);
}

/* Bytes that a good request needs for what it carries or asks for. */
static size_t buffer_size(const struct wire_request *wire)
{
	switch (wire->type) {
	case NBD_CMD_READ:
	case NBD_CMD_WRITE:
		return wire->length;
	case NBD_CMD_BLOCK_STATUS:
		return STATUS_BUFFER;
	default:
		return 0;
	}
}

/*
 * A slot and a buffer for a request. NULL: there is none before other requests are done. A WRITE
 * that is refused needs no buffer.
 */
static struct slot *prepare_slot(struct connection *connection, const struct wire_request *wire)
{
	struct slot *slot = slot_get(connection);

	if (!slot)
		return NULL;
	slot->wire = *wire;
	slot->result = judge(connection, wire, &slot->reason);
	size_t size = slot->result ? 0 : buffer_size(wire);
	if (!size)
		return slot;
	slot->request.buffer = buffers_get(connection->buffers, size);
	if (!slot->request.buffer) {
		slot_put(slot);
		return NULL;
	}
	return slot;
}

static void say_goodbye(struct connection *connection)
{
	connection->input_over = true;
	connection->begin = connection->end;
}

/* Takes one request header out of the input, which has it whole. -EPROTO: hang up. */
static int take_header(struct connection *connection)
{
	struct request_rules *rules = &connection->rules;
	struct wire_request wire;

	if (wire_request_read(rules->style, connection->input + connection->begin, &wire))
		return -EPROTO;
	if (wire.type == NBD_CMD_DISC) {
		say_goodbye(connection);
		return 0;
	}
	if (wire.payload > rules->payload_skipped)
		return -EPROTO;
	/* The device may have been resized since the last request. */
	rules->size = nbdt_device_size(connection->device);
	struct slot *slot = prepare_slot(connection, &wire);
	connection->blocked = !slot;
	if (!slot)
		return 0;
	connection->begin += rules->header_size;
	connection->large = wire.payload >= LARGE_PAYLOAD;
	if (wire.payload) {
		connection->payload.slot = slot;
		connection->payload.to = slot->request.buffer;
		connection->payload.left = wire.payload;
	} else {
		run_request(slot);
	}
	return 0;
}

static bool has_header(const struct connection *connection)
{
	return connection->end - connection->begin >= connection->rules.header_size;
}

/*
 * After an empty socket's single request the next one is most likely not there yet: poll() at
 * once spares a receive in vain. A client that sends several at a time has sent more by now. (At
 * depth 1 this is worth a third of the speed, at depth 16 a tenth the other way.)
 */
static void guess_readable(struct connection *connection, unsigned int taken)
{
	if (connection->drained && taken < 2)
		connection->readable = false;
	connection->drained = false;
}

int input_take_requests(struct connection *connection)
{
	struct payload *payload = &connection->payload;
	unsigned int taken = 0;
	int result = 0;

	connection->unblocked = false;
	while (!result && !connection->blocked) {
		if (payload->slot) {
			if (!take_payload(connection))
				break;
			run_request(payload->slot);
			payload->slot = NULL;
		} else if (has_header(connection)) {
			result = take_header(connection);
			taken++;
		} else {
			break;
		}
		if (!result && connection->replies.bytes >= REPLY_BATCH)
			result = reply_queue_send(connection);
	}
	if (!payload->slot)
		guess_readable(connection, taken);
	return result;
}

void input_drop_incomplete(struct connection *connection)
{
	if (!connection->input_over || connection->blocked || connection->unblocked)
		return;
	connection->begin = connection->end;
	if (connection->payload.slot) {
		slot_put(connection->payload.slot);
		connection->payload.slot = NULL;
	}
}
