/* SPDX-License-Identifier: Apache-2.0 */
/* The plain transport: a socket as it is. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport.h"

static ssize_t plain_receive(struct transport *transport, void *buffer, size_t size)
{
	ssize_t got;

	do
		got = recv(transport->fd, buffer, size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t plain_send(struct transport *transport, const struct iovec *vector, int count)
{
	const struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)vector,
		.msg_iovlen = count > IOV_MAX ? IOV_MAX : (size_t)count,
	};
	ssize_t sent;

	do
		sent = sendmsg(transport->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static bool plain_pending(struct transport *transport)
{
	(void)transport;
	return false;
}

static void plain_close(struct transport *transport)
{
	if (transport->fd >= 0)
		close(transport->fd);
	free(transport);
}

static const struct transport_ops plain_ops = {
	.receive = plain_receive,
	.send = plain_send,
	.pending = plain_pending,
	.close = plain_close,
};

struct transport *transport_plain(int fd)
{
	struct transport *transport = calloc(1, sizeof(*transport));
	const int on = 1;

	if (!transport)
		return NULL;
	transport->ops = &plain_ops;
	transport->fd = fd;
	/*
	 * "Protocol phases": both sides should disable Nagle; on a Unix socket it fails,
	 * harmlessly.
	 */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return transport;
}
