/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "dial.h"
#include "resolve.h"

char *dial_name(const struct nbdt_uri *uri)
{
	char *name = NULL;

	if (uri->transport == NBDT_TRANSPORT_UNIX)
		return strdup(uri->socket);
	bool bracket = strchr(uri->host, ':');
	if (asprintf(&name, bracket ? "[%s]:%s" : "%s:%s", uri->host, uri->port) < 0)
		return NULL;
	return name;
}

/* Keeps a descriptor from being closed. */
static int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* An interrupted connect() goes on all the same, so that it is waited for like one in progress. */
static int finish_connect(int fd, deadline_t deadline)
{
	struct transport waiting = { .fd = fd };
	socklen_t size = sizeof(int);
	int error = 0;
	int result = transport_wait(&waiting, POLLOUT, -1, deadline);

	if (result)
		return result;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -errno;
	return -error;
}

static int connect_address(const struct addrinfo *address, deadline_t deadline)
{
	CLEANUP_CLOSE int fd =
		socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen))
		result = -errno;
	if (result == -EINPROGRESS || result == -EINTR)
		result = finish_connect(fd, deadline);
	if (result)
		return result;
	return take_fd(&fd);
}

/* An address that this machine has no way to says less than what another one did. */
static bool says_little(int result)
{
	return !result || result == -ENETUNREACH || result == -EAFNOSUPPORT
	       || result == -EADDRNOTAVAIL;
}

/* Each address gets its share of the time that is left: a silent one shall not use up all of it. */
static int connect_any(const struct addrinfo *list, deadline_t deadline)
{
	unsigned int left = 0;
	int worst = 0;

	for (const struct addrinfo *address = list; address; address = address->ai_next)
		left++;
	for (; list; list = list->ai_next, left--) {
		unsigned int share = (unsigned int)deadline_left(deadline) / left;
		int result = connect_address(list, left > 1 ? deadline_after(share) : deadline);

		if (result >= 0)
			return result;
		if (says_little(worst))
			worst = result;
	}
	return worst;
}

static int dial_tcp(const struct nbdt_uri *uri, const char *name, deadline_t deadline,
	struct nbdt_error *err)
{
	struct addrinfo *list = NULL;
	int result = resolve_host(uri->host, uri->port, deadline, &list, err);

	if (result)
		return result;
	result = connect_any(list, deadline);
	freeaddrinfo(list);
	if (result < 0)
		nbdt_error_errno(err, result, "cannot connect to %.200s", name);
	return result;
}

/*
 * A Unix socket whose queue is full can't be waited for by poll(): connect() itself has to wait,
 * and SO_SNDTIMEO bounds that (net/unix/af_unix.c, unix_stream_connect()).
 */
static int connect_unix(int fd, const struct sockaddr_un *address, deadline_t deadline)
{
	const struct timeval unlimited = { 0 };
	int result;

	do {
		int left = deadline_left(deadline);
		struct timeval limit = {
			.tv_sec = left / 1000,
			.tv_usec = left % 1000 * 1000L,
		};

		/* Zero would mean no limit. */
		if (!left)
			return -ETIMEDOUT;
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
		result = result ? -errno : 0;
	} while (result == -EINTR || result == -EAGAIN);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &unlimited, sizeof(unlimited));
	return result;
}

static int dial_unix(const struct nbdt_uri *uri, deadline_t deadline, struct nbdt_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(uri->socket);

	if (length >= sizeof(address.sun_path))
		return nbdt_error_set(err, -ENAMETOOLONG,
			"%.150s: the path of a Unix socket has at most %zu bytes, this one has %zu:"
			" use a relative or a shorter one",
			uri->socket, sizeof(address.sun_path) - 1, length);
	memcpy(address.sun_path, uri->socket, length);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return nbdt_error_errno(err, -errno, "cannot connect to %s", uri->socket);
	int result = connect_unix(fd, &address, deadline);
	if (result)
		return nbdt_error_errno(err, result, "cannot connect to %s", uri->socket);
	return take_fd(&fd);
}

/* Whoever asks for TLS in any way must not get a connection without it. */
static int check_supported(const struct nbdt_uri *uri, struct nbdt_error *err)
{
	if (!uri->tls && (uri->tls_certificates || uri->tls_psk_file || uri->tls_hostname
		|| uri->tls_type))
		return nbdt_error_set(err, -EINVAL,
			"the address has parameters of TLS, but does not ask for it: write nbds"
			" instead of nbd");
	if (uri->transport == NBDT_TRANSPORT_VSOCK)
		return nbdt_error_set(err, -EOPNOTSUPP,
			"the address asks for vsock, which this version does not speak");
	return 0;
}

int dial(const struct nbdt_uri *uri, const char *name, deadline_t deadline, struct nbdt_error *err)
{
	int result = check_supported(uri, err);

	if (result)
		return result;
	if (uri->transport == NBDT_TRANSPORT_UNIX)
		return dial_unix(uri, deadline, err);
	return dial_tcp(uri, name, deadline, err);
}
