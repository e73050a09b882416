/* SPDX-License-Identifier: Apache-2.0 */
/* Where nbd-serve listens: TCP, a Unix socket, or sockets that it was given. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "nbd-serve.h"

#define FIRST_GIVEN 3 /* SD_LISTEN_FDS_START: sd_listen_fds(3) */
#define MOST_GIVEN 32u

static enum command_status add_sockets(
	struct listeners *listeners, const int *sockets, size_t count)
{
	int *all = reallocarray(listeners->sockets, listeners->count + count, sizeof(*all));

	if (!all) {
		for (size_t i = 0; i < count; i++)
			close(sockets[i]);
		say_error("out of memory");
		return STATUS_FAILED;
	}
	memcpy(all + listeners->count, sockets, count * sizeof(*all));
	listeners->sockets = all;
	listeners->count += count;
	return STATUS_DONE;
}

/*
 * "HOST:PORT", "[ADDRESS]:PORT", ":PORT", "HOST" and "PORT"; TEXT is changed. An address of IPv6
 * needs its brackets. *HOST is NULL for all addresses, *PORT for NBD's own.
 */
static bool split_address(char *text, const char **host, const char **port)
{
	char *bracket = *text == '[' ? strchr(text, ']') : NULL;
	char *colon = strchr(bracket ? bracket : text, ':');

	*host = text;
	*port = NULL;
	if (*text && strspn(text, "0123456789") == strlen(text)) {
		*host = "";
		*port = text;
	} else if (colon) {
		*colon = '\0';
		*port = colon + 1;
	}
	if (bracket) {
		*host = text + 1;
		*bracket++ = '\0';
	}
	bool good = !(bracket && *bracket) && !(*text == '[' && !bracket);
	uint64_t number;
	if (*port && parse_number(*port, UINT16_MAX, &number))
		good = false;
	if (!**host || !strcmp(*host, "*"))
		*host = NULL;
	return good;
}

static enum command_status listen_tcp(struct listeners *listeners, const char *address)
{
	CLEANUP_FREE char *text = strdup(address);
	CLEANUP_FREE int *sockets = NULL;
	const char *host, *port;
	struct nbdt_error err;
	size_t count;

	if (!text) {
		say_error("out of memory");
		return STATUS_FAILED;
	}
	if (!split_address(text, &host, &port))
		return usage_error("--listen: not ADDRESS:PORT, nor [IPV6-ADDRESS]:PORT: %s",
			address);
	if (nbdt_listen_tcp(host, port, &sockets, &count, &err))
		return report(NULL, &err);
	return add_sockets(listeners, sockets, count);
}

/* What we may remove at the end: if another server has its socket there by then, it stays. */
static enum command_status note_path(struct listeners *listeners, const char *path)
{
	struct stat status;

	listeners->path = realpath(path, NULL);
	if (!listeners->path || lstat(listeners->path, &status)) {
		say_error("%s: %m", path);
		return STATUS_FAILED;
	}
	listeners->dev = status.st_dev;
	listeners->ino = status.st_ino;
	return STATUS_DONE;
}

static enum command_status listen_unix(struct listeners *listeners, const char *path)
{
	struct nbdt_error err;

	int fd = nbdt_listen_unix(path, &err);
	if (fd < 0)
		return report(NULL, &err);
	enum command_status status = note_path(listeners, path);
	enum command_status added = add_sockets(listeners, &fd, 1);
	return status ? status : added;
}

/* For --run alone: nobody else can find it, and USER can remove it. */
static enum command_status listen_privately(struct listeners *listeners, const struct user *user)
{
	char folder[] = "/tmp/nbd-serve-XXXXXX";
	char path[sizeof(folder) + sizeof("/socket")];

	if (!mkdtemp(folder)) {
		say_error("cannot make a folder for a socket: %m");
		return STATUS_FAILED;
	}
	listeners->folder = strdup(folder);
	snprintf(path, sizeof(path), "%s/socket", folder);
	enum command_status status = listen_unix(listeners, path);
	if (status || !user->name)
		return status;
	if (chown(path, user->uid, user->gid) || chown(folder, user->uid, user->gid)) {
		say_error("%s: cannot give it to %s: %m", folder, user->name);
		return STATUS_FAILED;
	}
	return STATUS_DONE;
}

static uint64_t count_given(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	uint64_t owner, count;

	if (!pid || !fds || parse_number(pid, INT32_MAX, &owner) || owner != (uint64_t)getpid()
		|| parse_number(fds, INT32_MAX, &count))
		return 0;
	return count;
}

bool listeners_are_given(void)
{
	return count_given() > 0;
}

/* Those that systemd or another parent passes on. The variables are not for our children. */
static enum command_status take_given(struct listeners *listeners)
{
	uint64_t count = count_given();
	int sockets[MOST_GIVEN];

	if (count > MOST_GIVEN)
		return usage_error("LISTEN_FDS: more than %u sockets", MOST_GIVEN);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (unsigned int i = 0; i < count; i++) {
		int on = 0;
		socklen_t size = sizeof(on);

		sockets[i] = FIRST_GIVEN + (int)i;
		if (getsockopt(sockets[i], SOL_SOCKET, SO_ACCEPTCONN, &on, &size) || !on)
			return usage_error(
				"descriptor %d, from LISTEN_FDS, is no listening socket",
				sockets[i]);
		fcntl(sockets[i], F_SETFD, FD_CLOEXEC);
		fcntl(sockets[i], F_SETFL, fcntl(sockets[i], F_GETFL) | O_NONBLOCK);
	}
	return add_sockets(listeners, sockets, count);
}

enum command_status listeners_open(const struct serve_options *options, const struct user *user,
	struct listeners *listeners)
{
	bool chosen = options->listen_count || options->socket;
	enum command_status status = STATUS_DONE;

	listeners->activated = listeners_are_given();
	if (listeners->activated && chosen)
		return usage_error("--listen and --unix: the sockets were given already"
				   " (LISTEN_FDS)");
	if (listeners->activated)
		return take_given(listeners);
	if (options->socket)
		status = listen_unix(listeners, options->socket);
	for (size_t i = 0; !status && i < options->listen_count; i++)
		status = listen_tcp(listeners, options->listen[i]);
	if (chosen)
		return status;
	/* Strangers are not let in by default. */
	return options->run ? listen_privately(listeners, user)
			    : listen_tcp(listeners, "localhost");
}

static int make_uri(int socket, struct nbdt_uri **uri)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_storage space;
	} address = { 0 };
	socklen_t size = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getsockname(socket, &address.any, &size))
		return -errno;
	if (address.any.sa_family == AF_UNIX) {
		CLEANUP_FREE char *path = realpath(address.un.sun_path, NULL);

		return path ? nbdt_uri_unix(path, "", uri, NULL) : -errno;
	}
	if (getnameinfo(&address.any, size, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV))
		return -EAFNOSUPPORT;
	return nbdt_uri_tcp(host, port, "", uri, NULL);
}

char *listener_uri(int socket, bool tls)
{
	struct nbdt_uri *uri = NULL;

	if (make_uri(socket, &uri) || !uri)
		return NULL;
	uri->tls = tls;
	char *text = nbdt_uri_format(uri);
	nbdt_uri_free(uri);
	return text;
}

void listeners_remove(struct listeners *listeners)
{
	struct stat status;

	if (listeners->path && !lstat(listeners->path, &status) && status.st_dev == listeners->dev
		&& status.st_ino == listeners->ino && unlink(listeners->path))
		say_warning("%s: %m", listeners->path);
	if (listeners->folder)
		rmdir(listeners->folder);
	free(listeners->path);
	free(listeners->folder);
	listeners->path = listeners->folder = NULL;
}

void listeners_close(struct listeners *listeners)
{
	listeners_remove(listeners);
	for (size_t i = 0; i < listeners->count; i++)
		close(listeners->sockets[i]);
	free(listeners->sockets);
}
