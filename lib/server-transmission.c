/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmission phase of one client, in one thread that never waits but in wait_for_event().
 * It goes round in turns:
 *
 *   receive_input()      takes what the socket has, many requests at once, or the payload of a
 *                        large WRITE straight into its buffer
 *   take_requests()      validates and executes every whole request found there
 *   connection_collect() takes over what other threads have completed meanwhile
 *   reply_queue_send()   sends all replies there are in one call
 *
 * A request for which there is no slot or no buffer stays in the input, and nothing more is
 * received, until replies have gone out: that bounds the memory of a connection whatever its
 * client does.
 *
 * Between two turns nothing but the fields of struct connection describes where the stream is, so
 * that a later hand-over to another process has a place to stop at: input between BEGIN and END,
 * and the payload under way.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "server-connection.h"

/*
 * A WRITE of this size is worth a receive of its own, to spare its payload the way through the
 * input buffer.
 */
#define LARGE_PAYLOAD (32u * 1024)
/*
 * What is received at once while large WRITEs come in: the next header, and no more of its
 * payload than can be copied cheaply.
 */
#define SMALL_RECEIVE 2048u
/* A payload over this is not even skipped: such a client is broken, or it wants us to be busy. */
#define SKIPPED_MAXIMUM (64u * 1024 * 1024)
/*
 * Replies are sent during a batch when so much has come together, while it is still in the CPU's
 * cache.
 */
#define REPLY_BATCH ((size_t)256 * 1024)
/* Milliseconds that a stopped server waits for a client to take its last replies. */
#define STOP_GRACE 5000

/* Nothing is received before every whole request of the input was taken. */
static bool wants_input(const struct connection *connection)
{
	return !connection->input_over && !connection->blocked && !connection->unblocked;
}

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

static int receive_input(struct connection *connection)
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
	slot->result = request_check(&connection->rules, wire);
	bool has_data = wire->type == NBD_CMD_READ || wire->type == NBD_CMD_WRITE;
	if (slot->result || !has_data || !wire->length)
		return slot;
	slot->request.buffer = buffers_get(connection->buffers, wire->length);
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
	struct wire_request wire;

	if (wire_request_read(connection->input + connection->begin, &wire))
		return -EPROTO;
	if (wire.type == NBD_CMD_DISC) {
		say_goodbye(connection);
		return 0;
	}
	if (wire.type == NBD_CMD_WRITE && wire.length > SKIPPED_MAXIMUM)
		return -EPROTO;
	/* The device may have been resized since the last request. */
	connection->rules.size = nbdt_device_size(connection->device);
	struct slot *slot = prepare_slot(connection, &wire);
	connection->blocked = !slot;
	if (!slot)
		return 0;
	connection->begin += sizeof(struct nbd_request_header);
	connection->large = wire.type == NBD_CMD_WRITE && wire.length >= LARGE_PAYLOAD;
	if (wire.type == NBD_CMD_WRITE) {
		connection->payload.slot = slot;
		connection->payload.to = slot->request.buffer;
		connection->payload.left = wire.length;
	} else {
		run_request(slot);
	}
	return 0;
}

static bool has_header(const struct connection *connection)
{
	return connection->end - connection->begin >= sizeof(struct nbd_request_header);
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

/* Takes every request that is there as a whole, as long as there are slots and buffers for them. */
static int take_requests(struct connection *connection)
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

/* Once no more input comes, the beginning of a message will never become a whole one. */
static void drop_incomplete(struct connection *connection)
{
	if (!connection->input_over || connection->blocked || connection->unblocked)
		return;
	connection->begin = connection->end;
	if (connection->payload.slot) {
		slot_put(connection->payload.slot);
		connection->payload.slot = NULL;
	}
}

static bool is_finished(const struct connection *connection)
{
	return connection->input_over && connection->begin == connection->end && !connection->used;
}

static bool must_wait(const struct connection *connection)
{
	if (is_finished(connection) || connection->unblocked)
		return false;
	return !connection->readable || !wants_input(connection);
}

static short socket_events(const struct connection *connection)
{
	int events = 0;

	if (wants_input(connection))
		events |= POLLIN;
	if (connection->replies.first)
		events |= POLLOUT;
	return (short)events;
}

/*
 * The only place where the thread sleeps. A descriptor with nothing to wait for is left out, or
 * its hang-up would wake us for ever.
 */
static int wait_for_event(struct connection *connection)
{
	struct transport *transport = connection->transport;
	short events = socket_events(connection);
	struct pollfd fds[] = {
		{ .fd = events ? transport->fd : -1, .events = events },
		{ .fd = connection->stopping ? -1 : connection->server->stop_fd, .events = POLLIN },
		{ .fd = connection->pending ? connection->done_fd : -1, .events = POLLIN },
	};
	eventfd_t ignored;

	if (wants_input(connection) && transport->ops->pending(transport)) {
		connection->readable = true;
		return 0;
	}
	/* The deadline is for a client that takes no replies, not for a device that is slow. */
	int timeout = connection->pending ? -1 : deadline_left(connection->deadline);
	int ready = poll(fds, sizeof(fds) / sizeof(fds[0]), timeout);
	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	if (ready == 0)
		return -ETIMEDOUT;
	if (fds[0].revents & ~POLLOUT)
		connection->readable = true;
	if (fds[2].revents)
		eventfd_read(connection->done_fd, &ignored);
	return 0;
}

/*
 * Sees a stop of the server. What lies in the socket by then is received once more, and served;
 * after that nothing is.
 */
static int check_stop(struct connection *connection)
{
	if (connection->stopping ||
		!atomic_load_explicit(&connection->server->stopping, memory_order_relaxed))
		return 0;
	connection->stopping = true;
	connection->deadline = deadline_after(STOP_GRACE);
	int result = wants_input(connection) ? receive_input(connection) : 0;
	connection->input_over = true;
	return result;
}

static int serve_turn(struct connection *connection)
{
	int result = check_stop(connection);

	if (!result && connection->readable && wants_input(connection))
		result = receive_input(connection);
	if (!result)
		result = take_requests(connection);
	if (result)
		return result;
	connection_collect(connection);
	result = reply_queue_send(connection);
	drop_incomplete(connection);
	if (!result && must_wait(connection))
		result = wait_for_event(connection);
	return result;
}

/*
 * Buffers belong to the device until it has completed its operations, also when the client is
 * gone.
 */
static void await_pending(struct connection *connection)
{
	struct pollfd done = { .fd = connection->done_fd, .events = POLLIN };
	eventfd_t ignored;

	while (connection->pending) {
		poll(&done, 1, -1);
		eventfd_read(connection->done_fd, &ignored);
		connection_collect(connection);
	}
}

static int explain(int result, struct nbdt_error *err)
{
	switch (result) {
	case 0:
		return 0;
	case -EPROTO:
		return nbdt_error_set(err, result, "the client broke the protocol");
	case -EPIPE:
	case -ECONNRESET:
		return nbdt_error_set(err, -ECONNRESET, "the client vanished");
	case -ETIMEDOUT:
		return nbdt_error_set(
			err, result, "stopped, but the client did not take its last replies");
	default:
		return nbdt_error_errno(err, result, "connection to the client");
	}
}

int server_transmission(struct nbdt_server *server, struct transport *transport,
	const struct server_choice *choice, struct nbdt_error *err)
{
	struct connection *connection;

	int result = connection_new(server, transport, choice, &connection);
	if (result)
		return nbdt_error_errno(err, result, "cannot serve a client");
	while (!result && !is_finished(connection))
		result = serve_turn(connection);
	await_pending(connection);
	if (!result && connection->vanished)
		result = -ECONNRESET;
	connection_free(connection);
	return explain(result, err);
}
