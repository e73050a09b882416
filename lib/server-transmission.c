/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmission phase of one client, in one thread that never waits but in wait_for_event().
 * It goes round in turns:
 *
 *   input_receive()       takes what the socket has, many requests at once, or the payload of a
 *                         large WRITE straight into its buffer
 *   input_take_requests() validates and executes every whole request found there
 *   connection_collect()  takes over what other threads have completed meanwhile
 *   reply_queue_send()    sends all replies there are in one call
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

/* Milliseconds that a stopped server waits for a client to take its last replies. */
#define STOP_GRACE 5000

static bool is_finished(const struct connection *connection)
{
	if (connection->used || connection->unblocked)
		return false;
	return connection->input_over ? connection->begin == connection->end
				      : connection->stopping;
}

static bool must_wait(const struct connection *connection)
{
	if (is_finished(connection) || connection->unblocked)
		return false;
	return !connection->readable || !input_wanted(connection);
}

static short socket_events(const struct connection *connection)
{
	int events = 0;

	if (input_wanted(connection))
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

	if (input_wanted(connection) && transport->ops->pending(transport)) {
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
 * Sees a stop of the server. What lies in the socket by then is received once more, and served.
 * After that and until those requests are done, others are refused, or, with simple replies, left
 * unread: behind those is the kernel, which fails the I/O that is answered with an error, but keeps
 * for another connection what was not answered.
 */
static int check_stop(struct connection *connection)
{
	if (!atomic_load_explicit(&connection->server->stopping, memory_order_relaxed))
		return 0;
	if (connection->stopping) {
		connection->refusing = true;
		return 0;
	}
	connection->stopping = true;
	connection->deadline = deadline_after(STOP_GRACE);
	int result = input_wanted(connection) ? input_receive(connection) : 0;
	if (connection->rules.style == STYLE_SIMPLE)
		connection->input_over = true;
	return result;
}

static int serve_turn(struct connection *connection)
{
	int result = check_stop(connection);

	if (!result && connection->readable && input_wanted(connection))
		result = input_receive(connection);
	if (!result)
		result = input_take_requests(connection);
	if (result)
		return result;
	connection_collect(connection);
	result = reply_queue_send(connection);
	input_drop_incomplete(connection);
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

static int explain(const struct transport *transport, int result, struct nbdt_error *err)
{
	if (result && transport->reason)
		return transport_explain(transport, "the client", result, err);
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
			err, result, "stopped, but the client did not take part in the ending");
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
	return explain(transport, result, err);
}
