/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that the server listens on, accepting clients there, and limits on them. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server-fixture.h"

#define TIMEOUT 10000 /* milliseconds */
#define NEWCOMERS 512

struct service {
	struct memory_device memory;
	struct nbdt_server *server;
	char folder[32];
	char path[64];
	struct nbdt_uri *uri;
	int listener;
	pthread_t thread;
	int result; /* of accepting, once it is over */
	atomic_uint ended;
	atomic_uint turned_away; /* of these */
};

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	int result = -errno;
	close(fd);
	return result;
}

static void note_end(const char *client, int result, const struct nbdt_error *err, void *arg)
{
	struct service *service = arg;
	char name[32];

	snprintf(name, sizeof(name), "process %d", getpid());
	assert_string_equal(client, name);
	assert_int_equal(result, result ? err->code : 0);
	if (result == -EUSERS)
		service->turned_away++;
	service->ended++;
}

static void *accept_clients(void *arg)
{
	struct service *service = arg;

	service->result = nbdt_server_accept(
		service->server, &service->listener, 1, note_end, service, NULL);
	return NULL;
}

static int set_up(void **state)
{
	const struct nbdt_server_options options = { .max_connections = 2 };
	struct service *service = calloc(1, sizeof(*service));

	strcpy(service->folder, "/tmp/nbdt-accept-XXXXXX");
	assert_non_null(mkdtemp(service->folder));
	snprintf(service->path, sizeof(service->path), "%s/socket", service->folder);
	assert_int_equal(nbdt_uri_unix(service->path, "", &service->uri, NULL), 0);
	memory_device_init(&service->memory, MEMORY_SIZE);
	assert_int_equal(nbdt_server_new(&options, &service->server, NULL), 0);
	assert_int_equal(nbdt_server_add_export(service->server, "disk", NULL,
		&service->memory.device, NULL), 0);
	service->listener = nbdt_listen_unix(service->path, NULL);
	assert_true(service->listener >= 0);
	pthread_create(&service->thread, NULL, accept_clients, service);
	*state = service;
	return 0;
}

static void stop(struct service *service)
{
	nbdt_server_stop(service->server);
	pthread_join(service->thread, NULL);
	service->thread = 0;
}

static int tear_down(void **state)
{
	struct service *service = *state;

	if (service->thread)
		stop(service);
	unlink(service->path);
	rmdir(service->folder);
	nbdt_uri_free(service->uri);
	nbdt_server_free(service->server);
	memory_device_destroy(&service->memory);
	free(service);
	return 0;
}

static struct nbdt_client *connect_client(struct service *service)
{
	struct nbdt_client *client;

	assert_int_equal(nbdt_client_connect(service->uri, TIMEOUT, &client, NULL), 0);
	return client;
}

static int choose_export(struct nbdt_client *client, struct nbdt_error *err)
{
	struct nbdt_export export = { 0 };

	int result = nbdt_client_go(client, "", &export, err);
	nbdt_export_clear(&export);
	return result;
}

static void accepts_until_it_is_stopped(void **state)
{
	struct service *service = *state;
	struct nbdt_client *client = connect_client(service);
	struct nbdt_client *silent = connect_client(service);

	assert_int_equal(choose_export(client, NULL), 0);
	stop(service);
	assert_int_equal(service->result, 0);
	assert_int_equal(service->ended, 2);
	assert_int_equal(connect_to(service->path), -ECONNREFUSED);
	nbdt_client_close(client);
	nbdt_client_close(silent);
}

static void further_clients_are_refused_an_export_only(void **state)
{
	struct service *service = *state;
	struct nbdt_client *clients[3];
	struct nbdt_export export = { 0 };
	struct nbdt_error err;

	for (int i = 0; i < 3; i++)
		clients[i] = connect_client(service);
	assert_int_equal(choose_export(clients[0], NULL), 0);
	assert_int_equal(choose_export(clients[1], NULL), 0);
	assert_int_equal(choose_export(clients[2], &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "no more than 2 clients"));
	assert_int_equal(nbdt_client_info(clients[2], "", &export, NULL), 0);
	nbdt_export_clear(&export);
	nbdt_client_close(clients[0]);
	while (!service->ended)
		pause_briefly();
	assert_int_equal(choose_export(clients[2], NULL), 0);
	nbdt_client_close(clients[1]);
	nbdt_client_close(clients[2]);
	stop(service);
	assert_int_equal(service->turned_away, 0);
}

static void refusal_is_told_if_the_client_leaves_then(void **state)
{
	struct service *service = *state;
	struct nbdt_client *clients[4];

	for (int i = 0; i < 4; i++)
		clients[i] = connect_client(service);
	assert_int_equal(choose_export(clients[0], NULL), 0);
	assert_int_equal(choose_export(clients[1], NULL), 0);
	assert_int_equal(choose_export(clients[2], NULL), -EREMOTEIO);
	/* NBD_OPT_EXPORT_NAME is refused by hanging up. */
	nbdt_client_avoid_go(clients[3]);
	assert_int_equal(choose_export(clients[3], NULL), -ENXIO);
	for (int i = 0; i < 4; i++)
		nbdt_client_close(clients[i]);
	stop(service);
	assert_int_equal(service->turned_away, 2);
}

static void oldest_silent_client_makes_room(void **state)
{
	struct service *service = *state;
	static int silent[NEWCOMERS + 20];
	unsigned char greeting[18];

	/* Each is in the handshake before the next one comes. */
	for (size_t i = 0; i < NEWCOMERS; i++) {
		silent[i] = connect_to(service->path);
		receive_bytes(silent[i], greeting, sizeof(greeting));
	}
	struct nbdt_client *good = connect_client(service);
	for (size_t i = NEWCOMERS; i < NEWCOMERS + 20; i++) {
		silent[i] = connect_to(service->path);
		receive_bytes(silent[i], greeting, sizeof(greeting));
	}
	for (size_t i = 0; i < 21; i++)
		assert_true(at_end(silent[i]));
	assert_int_equal(choose_export(good, NULL), 0);
	nbdt_client_close(good);
	for (size_t i = 0; i < NEWCOMERS + 20; i++)
		close(silent[i]);
	stop(service);
	assert_int_equal(service->turned_away, 21);
	assert_int_equal(service->ended, NEWCOMERS + 21);
}

/* The last descriptors go to silent clients, until one that speaks needs some. */
static void without_descriptors_the_oldest_makes_room(void **state)
{
	struct service *service = *state;
	struct rlimit limit, before;
	unsigned char greeting[18];
	int silent[20];

	for (size_t i = 0; i < 20; i++) {
		silent[i] = connect_to(service->path);
		receive_bytes(silent[i], greeting, sizeof(greeting));
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	/* Room for the client's end and no more. */
	int next = dup(silent[0]);
	close(next);
	limit = before;
	limit.rlim_cur = (rlim_t)next + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	struct nbdt_client *client = connect_client(service);
	assert_int_equal(choose_export(client, NULL), 0);
	nbdt_client_close(client);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(at_end(silent[0]));
	for (size_t i = 0; i < 20; i++)
		close(silent[i]);
}

static void what_does_not_listen_is_an_error(void **state)
{
	struct service *service = *state;
	struct nbdt_server *server;
	int fds[65];

	(void)service;
	assert_int_equal(nbdt_server_new(NULL, &server, NULL), 0);
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(nbdt_server_accept(server, fds, 1, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(close(fds[0]), -1);
	for (size_t i = 0; i < 65; i++)
		fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(nbdt_server_accept(server, fds, 65, NULL, NULL, NULL), -E2BIG);
	for (size_t i = 0; i < 65; i++)
		assert_int_equal(close(fds[i]), -1);
	nbdt_server_free(server);
}

static void unix_socket_is_replaced_only_if_nobody_answers(void **state)
{
	struct service *service = *state;

	assert_int_equal(nbdt_listen_unix(service->path, NULL), -EADDRINUSE);
	stop(service);
	int again = nbdt_listen_unix(service->path, NULL);
	assert_true(again >= 0);
	assert_int_equal(nbdt_listen_unix(service->path, NULL), -EADDRINUSE);
	close(again);
	unlink(service->path);
	assert_int_equal(mkdir(service->path, 0700), 0);
	assert_int_equal(nbdt_listen_unix(service->path, NULL), -EADDRINUSE);
	assert_int_equal(rmdir(service->path), 0);
	assert_int_equal(nbdt_listen_unix("", NULL), -ENAMETOOLONG);
}

static in_port_t port_of(int fd)
{
	struct sockaddr_in6 address;
	socklen_t size = sizeof(address);
	int on = 0;
	socklen_t on_size = sizeof(on);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &on_size), 0);
	assert_true(on);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin6_port);
}

static void tcp_has_one_port_at_all_addresses(void **state)
{
	int *sockets, *others;
	size_t count, other_count;
	char port[8];

	(void)state;
	assert_int_equal(nbdt_listen_tcp(NULL, "0", &sockets, &count, NULL), 0);
	assert_true(count >= 1);
	assert_int_not_equal(port_of(sockets[0]), 0);
	for (size_t i = 1; i < count; i++)
		assert_int_equal(port_of(sockets[i]), port_of(sockets[0]));
	snprintf(port, sizeof(port), "%u", port_of(sockets[0]));
	assert_int_equal(
		nbdt_listen_tcp("127.0.0.1", port, &others, &other_count, NULL), -EADDRINUSE);
	for (size_t i = 0; i < count; i++)
		close(sockets[i]);
	free(sockets);
	/* Of TEST-NET-1, so not this machine's. */
	assert_int_equal(nbdt_listen_tcp("192.0.2.1", "0", &sockets, &count, NULL),
		-EADDRNOTAVAIL);
	assert_int_equal(nbdt_listen_tcp("1.2.3.4.5", "0", &sockets, &count, NULL),
		-EHOSTUNREACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	struct rlimit limit;

	/* Both ends of over 500 connections are here. */
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	const struct CMUnitTest tests[] = {
		TEST(accepts_until_it_is_stopped),
		TEST(further_clients_are_refused_an_export_only),
		TEST(refusal_is_told_if_the_client_leaves_then),
		TEST(oldest_silent_client_makes_room),
		TEST(without_descriptors_the_oldest_makes_room),
		TEST(what_does_not_listen_is_an_error),
		TEST(unix_socket_is_replaced_only_if_nobody_answers),
		cmocka_unit_test(tcp_has_one_port_at_all_addresses),
	};

	return cmocka_run_group_tests_name("server-accept", tests, NULL, NULL);
}
