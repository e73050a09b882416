/* SPDX-License-Identifier: Apache-2.0 */
/* What every transport shares: waiting with a deadline, and moving whole messages. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#include "transport.h"

static deadline_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (deadline_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

deadline_t deadline_after(unsigned int milliseconds)
{
	return now() + milliseconds;
}

int deadline_left(deadline_t deadline)
{
	if (deadline == DEADLINE_NEVER)
		return -1;
	deadline_t left = deadline - now();
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int transport_release(struct transport *transport)
{
	int fd = transport->fd;

	transport->fd = -1;
	return fd;
}

void transport_close(struct transport *transport)
{
	if (transport)
		transport->ops->close(transport);
}

int transport_explain(
	const struct transport *transport, const char *peer, int result, struct nbdt_error *err)
{
	/* Elsewhere that is a refusal after which the connection can still be used. */
	if (result == -EREMOTEIO)
		return nbdt_error_set(err, -ECONNRESET, "TLS with %.200s failed: it says: %s", peer,
			transport->reason);
	return nbdt_error_set(
		err, result, "TLS with %.200s failed: %s", peer, transport->reason);
}

int transport_wait(struct transport *transport, short events, int wake, deadline_t deadline)
{
	struct pollfd wait[2] = {
		{ .fd = transport->fd, .events = events },
		{ .fd = wake, .events = POLLIN },
	};

	for (;;) {
		int left = deadline_left(deadline);
		int ready = poll(wait, 2, left);

		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready > 0)
			return wait[1].revents ? -EINTR : 0;
		/* A deadline further away than poll() can wait is waited for in pieces. */
		if (!ready && !deadline_left(deadline))
			return -ETIMEDOUT;
	}
}

int transport_receive_all(
	struct transport *transport, void *buffer, size_t size, int wake, deadline_t deadline)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = transport->ops->receive(
			transport, (char *)buffer + done, size - done);

		if (got > 0) {
			done += (size_t)got;
			/* One that always has a little more must not go on for ever. */
			if (done < size && !deadline_left(deadline))
				return -ETIMEDOUT;
			continue;
		}
		if (!got)
			return done ? -ECONNRESET : -EPIPE;
		if (got != -EAGAIN)
			return (int)got;
		int result = transport_wait(transport, POLLIN, wake, deadline);
		if (result)
			return result;
	}
	return 0;
}

/* Takes BYTES off the front of a vector; returns how many elements are used up. */
static int consume_vector(struct iovec *vector, int count, size_t bytes)
{
	int used = 0;

	while (used < count && bytes >= vector[used].iov_len)
		bytes -= vector[used++].iov_len;
	if (bytes) {
		vector[used].iov_base = (char *)vector[used].iov_base + bytes;
		vector[used].iov_len -= bytes;
	}
	return used;
}

int transport_send_all(
	struct transport *transport, struct iovec *vector, int count, int wake, deadline_t deadline)
{
	while (count) {
		ssize_t sent = transport->ops->send(transport, vector, count);

		if (sent >= 0) {
			int used = consume_vector(vector, count, (size_t)sent);

			vector += used;
			count -= used;
			if (count && !deadline_left(deadline))
				return -ETIMEDOUT;
			continue;
		}
		if (sent != -EAGAIN)
			return (int)sent;
		int result = transport_wait(transport, POLLOUT, wake, deadline);
		if (result)
			return result;
	}
	return 0;
}
