/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting clients: a thread for each. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

/* Of a thread: a server's buffers are elsewhere. TLS wants some of it. */
#define STACK_SIZE ((size_t)512 * 1024)
#define MOST_LISTENERS 64u
#define SHORTAGE_PAUSE 20 /* milliseconds */
#define CLIENT_NAME 80    /* bytes: an address of IPv6, with its zone, is the longest */

struct acceptor {
	struct nbdt_server *server;
	void (*ended)(
		const char *client, int result, const struct nbdt_error *err, void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	size_t clients; /* being served, under the lock */
};

struct client_thread {
	struct acceptor *acceptor;
	int socket;
	char name[CLIENT_NAME]; /* for people */
};

static void *serve(void *arg)
{
	struct client_thread client = *(struct client_thread *)arg;
	struct acceptor *acceptor = client.acceptor;
	struct nbdt_error err = { 0 };

	free(arg);
	int result = nbdt_server_serve(acceptor->server, client.socket, &err);
	if (acceptor->ended)
		acceptor->ended(client.name, result, &err, acceptor->arg);
	pthread_mutex_lock(&acceptor->lock);
	if (!--acceptor->clients)
		pthread_cond_signal(&acceptor->idle);
	pthread_mutex_unlock(&acceptor->lock);
	return NULL;
}

static int start_thread(struct client_thread *client)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int result = -pthread_create(&thread, &attributes, serve, client);
	pthread_attr_destroy(&attributes);
	return result;
}

/* "192.0.2.1:1234", "[2001:db8::1]:1234", or on a Unix socket "process 1234". */
static void name_client(int socket, char name[CLIENT_NAME])
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);
	struct ucred process;
	socklen_t process_size = sizeof(process);
	char host[CLIENT_NAME - 10], port[6];

	snprintf(name, CLIENT_NAME, "a client");
	if (getpeername(socket, (struct sockaddr *)&address, &size))
		return;
	if (address.ss_family == AF_UNIX) {
		if (!getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &process, &process_size))
			snprintf(name, CLIENT_NAME, "process %d", process.pid);
		return;
	}
	if (getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	/* An address of IPv4 as a socket of IPv6 sees it (RFC 4291, 2.5.5.2). */
	const char *shown = strncmp(host, "::ffff:", 7) || !strchr(host, '.') ? host : host + 7;
	snprintf(name, CLIENT_NAME, strchr(shown, ':') ? "[%s]:%s" : "%s:%s", shown, port);
}

/* Whoever cannot be served is turned away; the others go on. */
static void turn_away(struct acceptor *acceptor, int socket, int reason)
{
	char name[CLIENT_NAME];
	struct nbdt_error err;

	name_client(socket, name);
	close(socket);
	nbdt_error_errno(&err, reason, "cannot be served");
	if (acceptor->ended)
		acceptor->ended(name, reason, &err, acceptor->arg);
}

static void begin_client(struct acceptor *acceptor, int socket)
{
	struct client_thread *client = malloc(sizeof(*client));
	const int on = 1;

	if (!client) {
		turn_away(acceptor, socket, -ENOMEM);
		return;
	}
	/* Or a client whose machine is gone would keep its place for ever. */
	setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	client->acceptor = acceptor;
	client->socket = socket;
	name_client(socket, client->name);
	pthread_mutex_lock(&acceptor->lock);
	acceptor->clients++;
	pthread_mutex_unlock(&acceptor->lock);
	int result = start_thread(client);
	if (!result)
		return;
	free(client);
	turn_away(acceptor, socket, result);
	pthread_mutex_lock(&acceptor->lock);
	acceptor->clients--;
	pthread_mutex_unlock(&acceptor->lock);
}

/*
 * Out of descriptors or memory: one who may be nobody gives some back. Until then the listener
 * stays readable.
 */
static void wait_for_better_times(struct nbdt_server *server)
{
	struct pollfd stop = { .fd = server->stop_fd, .events = POLLIN };

	server_make_room(server);
	poll(&stop, 1, SHORTAGE_PAUSE);
}

static int accept_one(struct acceptor *acceptor, int listener)
{
	int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (socket >= 0) {
		begin_client(acceptor, socket);
		return 0;
	}
	switch (errno) {
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
		return -errno;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		wait_for_better_times(acceptor->server);
		return 0;
	default: /* the client has gone already, or another process was faster */
		return 0;
	}
}

/* The last one of FDS is the server's stop. */
static int accept_clients(struct acceptor *acceptor, struct pollfd *fds, size_t count)
{
	int result = 0;

	while (!result) {
		if (poll(fds, count + 1, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (fds[count].revents)
			return 0;
		for (size_t i = 0; !result && i < count; i++)
			if (fds[i].revents)
				result = accept_one(acceptor, fds[i].fd);
	}
	return result;
}

static void close_listeners(const int *listeners, size_t count)
{
	while (count)
		close(listeners[--count]);
}

static void await_clients(struct acceptor *acceptor)
{
	pthread_mutex_lock(&acceptor->lock);
	while (acceptor->clients)
		pthread_cond_wait(&acceptor->idle, &acceptor->lock);
	pthread_mutex_unlock(&acceptor->lock);
}

int nbdt_server_accept(struct nbdt_server *server, const int *listeners, size_t count,
	void (*ended)(const char *client, int result, const struct nbdt_error *err, void *arg),
	void *arg, struct nbdt_error *err)
{
	struct acceptor acceptor = { .server = server, .ended = ended, .arg = arg };
	struct pollfd fds[MOST_LISTENERS + 1];

	if (count > MOST_LISTENERS) {
		close_listeners(listeners, count);
		return nbdt_error_set(err, -E2BIG, "more than %u sockets to listen on",
			MOST_LISTENERS);
	}
	for (size_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
	fds[count] = (struct pollfd){ .fd = server->stop_fd, .events = POLLIN };
	pthread_mutex_init(&acceptor.lock, NULL);
	pthread_cond_init(&acceptor.idle, NULL);
	int result = accept_clients(&acceptor, fds, count);
	/* Whoever comes now is refused at once, rather than left waiting. */
	close_listeners(listeners, count);
	if (result)
		nbdt_server_stop(server);
	await_clients(&acceptor);
	pthread_cond_destroy(&acceptor.idle);
	pthread_mutex_destroy(&acceptor.lock);
	return result ? nbdt_error_errno(err, result, "cannot accept clients") : 0;
}
