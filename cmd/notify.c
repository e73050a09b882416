/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

#define BARRIER_TIMEOUT 5000 /* milliseconds */

static int connection = -1;

/* A path, or with '@' a name of Linux' own, which begins with a NUL. */
static int connect_to(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);

	if ((*name != '/' && *name != '@') || length >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, name, length);
	if (*name == '@')
		address.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (!connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)))
		return fd;
	close(fd);
	return -1;
}

void notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");

	if (name)
		connection = connect_to(name);
	unsetenv("NOTIFY_SOCKET");
}

void notify(const char *state, const char *format, ...)
{
	char status[512], message[640];
	va_list arguments;

	if (connection < 0)
		return;
	va_start(arguments, format);
	vsnprintf(status, sizeof(status), format, arguments);
	va_end(arguments);
	/* Each line is a variable: none may come from a file's name. */
	for (char *at = status; *at; at++)
		if (*at == '\n')
			*at = '?';
	snprintf(message, sizeof(message), "%s%sSTATUS=%s", state ? state : "", state ? "\n" : "",
		status);
	/* Best effort: if nobody reads it, there is nobody to tell. */
	send(connection, message, strlen(message), MSG_NOSIGNAL);
}

/* "BARRIER=1" comes with a descriptor, which systemd closes once it has read all before it. */
static void send_barrier(int fd)
{
	char text[] = "BARRIER=1";
	struct iovec vector = { .iov_base = text, .iov_len = strlen(text) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(fd))];
	} control = { 0 };
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	sendmsg(connection, &message, MSG_NOSIGNAL);
}

void notify_close(void)
{
	int ends[2];

	if (connection < 0)
		return;
	if (!pipe(ends)) {
		CLEANUP_CLOSE int end = ends[0];
		struct pollfd closed = { .fd = end };

		send_barrier(ends[1]);
		close(ends[1]);
		poll(&closed, 1, BARRIER_TIMEOUT);
	}
	close(connection);
	connection = -1;
}
