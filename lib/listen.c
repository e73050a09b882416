/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that a server listens on. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "nbdtools.h"

/* How often a free port is looked for that is free at every address. */
#define FREE_PORT_TRIES 16

struct socket_list {
	int *sockets;
	size_t count;
};

static void close_all(struct socket_list *list)
{
	while (list->count)
		close(list->sockets[--list->count]);
}

static in_port_t port_of(int fd)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t size = sizeof(address);

	/* Both families have their port at the same place. */
	return getsockname(fd, (struct sockaddr *)&address, &size) ? 0 : address.sin6_port;
}

/* PORT, in network order, takes the place of the address's own port unless it is 0. */
static int listen_at(const struct addrinfo *address, in_port_t port)
{
	struct sockaddr_storage name = { 0 };
	const int on = 1;

	memcpy(&name, address->ai_addr, address->ai_addrlen);
	if (port)
		((struct sockaddr_in6 *)&name)->sin6_port = port;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* IPv4 has a socket of its own. */
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, (struct sockaddr *)&name, address->ai_addrlen) && !listen(fd, SOMAXCONN))
		return fd;
	int result = -errno;
	close(fd);
	return result;
}

/* One port for all addresses, also where the kernel chooses it. */
static int listen_at_all(const struct addrinfo *addresses, struct socket_list *list)
{
	in_port_t port = 0;
	int result = -EADDRNOTAVAIL;

	for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
		int fd = listen_at(at, port);

		/* Where IPv6 is switched off, names have addresses of it all the same. */
		if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)
			continue;
		if (fd < 0) {
			close_all(list);
			return fd;
		}
		list->sockets[list->count++] = fd;
		port = port_of(fd);
		result = 0;
	}
	return result;
}

static int listen_on_addresses(
	const struct addrinfo *addresses, bool any_port, struct socket_list *list)
{
	size_t count = 0;
	int result = -EADDRINUSE;

	for (const struct addrinfo *at = addresses; at; at = at->ai_next)
		count++;
	list->sockets = calloc(count ? count : 1, sizeof(list->sockets[0]));
	if (!list->sockets)
		return -ENOMEM;
	for (int i = 0; result == -EADDRINUSE && i < (any_port ? FREE_PORT_TRIES : 1); i++)
		result = listen_at_all(addresses, list);
	if (result)
		free(list->sockets);
	return result;
}

int nbdt_listen_tcp(const char *host, const char *port, int **sockets, size_t *count,
	struct nbdt_error *err)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	struct socket_list list = { 0 };
	struct addrinfo *addresses;

	if (!port)
		port = NBDT_DEFAULT_PORT;
	int failure = getaddrinfo(host, port, &hints, &addresses);
	if (failure)
		return nbdt_error_set(err, -EHOSTUNREACH, "cannot listen on %s, port %s: %s",
			host ? host : "*", port, gai_strerror(failure));
	int result = listen_on_addresses(addresses, !strcmp(port, "0"), &list);
	freeaddrinfo(addresses);
	if (result)
		return nbdt_error_errno(err, result, "cannot listen on %s, port %s",
			host ? host : "*", port);
	*sockets = list.sockets;
	*count = list.count;
	return 0;
}

/* Is it a socket that nobody answers on? */
static bool is_abandoned(const struct sockaddr_un *address)
{
	struct stat status;

	if (lstat(address->sun_path, &status) || !S_ISSOCK(status.st_mode))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	bool refused = connect(fd, (const struct sockaddr *)address, sizeof(*address))
		       && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

int nbdt_listen_unix(const char *path, struct nbdt_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	size_t length = strlen(path);
	if (!length || length >= sizeof(address.sun_path))
		return nbdt_error_set(err, -ENAMETOOLONG,
			"%.200s: the path of a Unix socket has 1 to %zu bytes", path,
			sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, length);
	if (is_abandoned(&address))
		unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return nbdt_error_errno(err, -errno, "%s", path);
	if (!bind(fd, (const struct sockaddr *)&address, sizeof(address)) && !listen(fd, SOMAXCONN))
		return fd;
	int result = nbdt_error_errno(err, -errno, "%s", path);
	close(fd);
	return result;
}
