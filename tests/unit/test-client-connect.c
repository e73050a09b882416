/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to what a URI names, within one deadline. The resolver is ours: see getaddrinfo() below. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbdtools.h"
#include "scripted-peer.h"

#define TIMEOUT 2000

static atomic_uint slow_lookups; /* that have ended */
static atomic_bool lookup_blocks_signals;

static struct addrinfo *make_address(const char *address, uint16_t port, struct addrinfo *next)
{
	struct {
		struct addrinfo info;
		struct sockaddr_in address;
	} *made = calloc(1, sizeof(*made));

	made->address.sin_family = AF_INET;
	made->address.sin_port = htons(port);
	if (inet_pton(AF_INET, address, &made->address.sin_addr) != 1) {
		free(made);
		return NULL;
	}
	made->info.ai_family = AF_INET;
	made->info.ai_socktype = SOCK_STREAM;
	made->info.ai_addr = (struct sockaddr *)&made->address;
	made->info.ai_addrlen = sizeof(made->address);
	made->info.ai_next = next;
	return &made->info;
}

/* In place of the C library's: knows two.test, slow.test, and addresses of IPv4. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
	struct addrinfo **list)
{
	uint16_t number = (uint16_t)strtoul(port, NULL, 10);
	sigset_t blocked;

	*list = make_address(host, number, NULL);
	if (*list)
		return 0;
	if (hints->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	lookup_blocks_signals =
		sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGUSR1) == 1;
	if (!strcmp(host, "two.test")) {
		*list = make_address("127.0.0.1", number, NULL);
		*list = make_address("127.0.0.2", number, *list);
		return 0;
	}
	if (!strcmp(host, "slow.test")) {
		poll(NULL, 0, 300);
		*list = make_address("127.0.0.1", number, NULL);
		slow_lookups++;
		return 0;
	}
	return EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A listening socket; PORT 0: any, which is stored there. */
static int listen_tcp(const char *address, uint16_t *port, int backlog)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t size = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &name.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
	*port = ntohs(name.sin_port);
	return fd;
}

static struct nbdt_uri *tcp_uri(const char *host, uint16_t port)
{
	struct nbdt_uri *uri = NULL;
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	assert_int_equal(nbdt_uri_tcp(host, text, "", &uri, NULL), 0);
	return uri;
}

static struct nbdt_uri *parse(const char *text)
{
	struct nbdt_uri *uri = NULL;

	assert_int_equal(nbdt_uri_parse(text, &uri, NULL), 0);
	return uri;
}

/* Fails to connect, and says so with WORD. */
static void check_failure(
	struct nbdt_uri *uri, unsigned int timeout, int code, const char *word)
{
	struct nbdt_client *client = NULL;
	struct nbdt_error err = { 0 };

	assert_int_equal(nbdt_client_connect(uri, timeout, &client, &err), code);
	assert_null(client);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
	nbdt_uri_free(uri);
}

/* Greets one client on a listening socket as an oldstyle server, which says all that is needed. */
struct server {
	int listener;
	pthread_t thread;
};

static void *serve_one(void *arg)
{
	struct server *server = arg;
	struct pollfd wait = { .fd = server->listener, .events = POLLIN };
	struct script *script = script_new();

	script_oldstyle(script, 4096, 1);
	if (poll(&wait, 1, 10000) == 1)
		peer_finish(peer_start_on(script, accept(server->listener, NULL, NULL)));
	free(script);
	return NULL;
}

static void server_start(struct server *server, int listener)
{
	server->listener = listener;
	assert_int_equal(pthread_create(&server->thread, NULL, serve_one, server), 0);
}

static void server_finish(struct server *server)
{
	pthread_join(server->thread, NULL);
	close(server->listener);
}

/* Frees the URI. The socket of a client that connected. */
static int connect_and_take(struct nbdt_uri *uri)
{
	struct nbdt_client *client = NULL;
	struct nbdt_error err = { 0 };

	if (nbdt_client_connect(uri, TIMEOUT, &client, &err))
		fail_msg("%s", err.text);
	int fd = nbdt_client_take_socket(client, NULL);
	assert_true(fd >= 0);
	nbdt_client_close(client);
	nbdt_uri_free(uri);
	return fd;
}

static void check_socket(int fd)
{
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void tcp_address_is_connected_without_delay(void **state)
{
	struct server server;
	socklen_t size = sizeof(int);
	uint16_t port = 0;
	int on = 0;

	(void)state;
	server_start(&server, listen_tcp("127.0.0.1", &port, 5));
	int fd = connect_and_take(tcp_uri("127.0.0.1", port));
	check_socket(fd);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	assert_int_equal(on, 1);
	close(fd);
	server_finish(&server);
}

/* Nobody listens on the first address. */
static void each_address_of_a_name_is_tried(void **state)
{
	struct server server;
	uint16_t port = 0;

	(void)state;
	server_start(&server, listen_tcp("127.0.0.1", &port, 5));
	close(connect_and_take(tcp_uri("two.test", port)));
	server_finish(&server);
	assert_true(lookup_blocks_signals);
}

/* Fills the queue of a listener of backlog 0, which then ignores new connections. */
static size_t fill_queue(uint16_t port, const char *address, int *fds, size_t count)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, address, &name.sin_addr);
	for (size_t i = 0; i < count; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fds[i], (struct sockaddr *)&name, sizeof(name));
		struct pollfd wait = { .fd = fds[i], .events = POLLOUT };
		if (poll(&wait, 1, 50) != 1)
			return i + 1;
	}
	return count;
}

static void close_all(const int *fds, size_t count)
{
	while (count)
		close(fds[--count]);
}

static void silent_address_does_not_use_up_the_time(void **state)
{
	struct server server;
	uint16_t port = 0;
	int fds[8];

	(void)state;
	int listener = listen_tcp("127.0.0.1", &port, 5);
	int silent = listen_tcp("127.0.0.2", &port, 0);
	size_t count = fill_queue(port, "127.0.0.2", fds, 8);
	server_start(&server, listener);
	close(connect_and_take(tcp_uri("two.test", port)));
	server_finish(&server);
	close_all(fds, count);
	close(silent);
}

static void silent_address_alone_times_out(void **state)
{
	int64_t begin;
	uint16_t port = 0;
	char name[64];
	int fds[8];

	(void)state;
	int silent = listen_tcp("127.0.0.2", &port, 0);
	size_t count = fill_queue(port, "127.0.0.2", fds, 8);
	snprintf(name, sizeof(name), "cannot connect to 127.0.0.2:%u", port);
	begin = milliseconds();
	check_failure(tcp_uri("127.0.0.2", port), 100, -ETIMEDOUT, name);
	assert_in_range(milliseconds() - begin, 95, 1000);
	close_all(fds, count);
	close(silent);
}

static void refused_connection_names_the_server(void **state)
{
	uint16_t port = 0;

	(void)state;
	close(listen_tcp("127.0.0.1", &port, 0));
	check_failure(tcp_uri("127.0.0.1", port), TIMEOUT, -ECONNREFUSED, "127.0.0.1:");
	check_failure(tcp_uri("two.test", port), TIMEOUT, -ECONNREFUSED, "two.test:");
}

static void silence_after_connecting_names_the_server(void **state)
{
	uint16_t port = 0;
	char text[64];

	(void)state;
	int listener = listen_tcp("127.0.0.1", &port, 5);
	snprintf(text, sizeof(text), "127.0.0.1:%u sent no NBD greeting within 0.05 s", port);
	check_failure(tcp_uri("127.0.0.1", port), 50, -ETIMEDOUT, text);
	close(listener);
}

static void unknown_host_is_told_in_the_resolver_s_words(void **state)
{
	(void)state;
	check_failure(tcp_uri("no.test", 1), TIMEOUT, -EHOSTUNREACH, gai_strerror(EAI_NONAME));
}

/* And what it finds later goes nowhere. */
static void slow_resolver_is_not_waited_for(void **state)
{
	int64_t begin = milliseconds();

	(void)state;
	check_failure(tcp_uri("slow.test", 1), 50, -ETIMEDOUT, "slow.test");
	assert_in_range(milliseconds() - begin, 45, 280);
	for (int i = 0; i < 100 && !slow_lookups; i++)
		poll(NULL, 0, 20);
	assert_int_equal(slow_lookups, 1);
	poll(NULL, 0, 50);
}

struct folder {
	char path[64];
	char socket[80];
	int listener;
};

static int set_up_folder(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	strcpy(folder->path, "/tmp/nbd-tools-connect-XXXXXX");
	if (!mkdtemp(folder->path))
		return -1;
	snprintf(folder->socket, sizeof(folder->socket), "%s/s", folder->path);
	strcpy(name.sun_path, folder->socket);
	folder->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(folder->listener, (struct sockaddr *)&name, sizeof(name))
		|| listen(folder->listener, 0))
		return -1;
	*state = folder;
	return 0;
}

static int tear_down_folder(void **state)
{
	struct folder *folder = *state;

	close(folder->listener);
	unlink(folder->socket);
	rmdir(folder->path);
	free(folder);
	return 0;
}

static struct nbdt_uri *unix_uri(const char *path)
{
	struct nbdt_uri *uri = NULL;

	assert_int_equal(nbdt_uri_unix(path, "", &uri, NULL), 0);
	return uri;
}

static void unix_socket_is_connected(void **state)
{
	struct folder *folder = *state;
	struct timeval limit;
	socklen_t size = sizeof(limit);
	struct server server;

	server_start(&server, dup(folder->listener));
	int fd = connect_and_take(unix_uri(folder->socket));
	check_socket(fd);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size), 0);
	assert_int_equal(limit.tv_sec, 0);
	assert_int_equal(limit.tv_usec, 0);
	close(fd);
	server_finish(&server);
}

static void full_queue_of_a_unix_socket_times_out(void **state)
{
	struct folder *folder = *state;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int64_t begin;
	int fds[8];
	size_t count = 0;

	strcpy(name.sun_path, folder->socket);
	for (; count < 8; count++) {
		fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fds[count], (struct sockaddr *)&name, sizeof(name)))
			break;
	}
	assert_true(count < 8);
	begin = milliseconds();
	check_failure(unix_uri(folder->socket), 100, -ETIMEDOUT, folder->socket);
	assert_in_range(milliseconds() - begin, 95, 1000);
	close_all(fds, count + 1);
}

static void missing_unix_socket_is_named(void **state)
{
	(void)state;
	check_failure(unix_uri("/nonexistent/socket"), TIMEOUT, -ENOENT, "/nonexistent/socket: No");
}

static void long_path_of_a_unix_socket_is_refused(void **state)
{
	char path[109];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[108] = '\0';
	check_failure(unix_uri(path), TIMEOUT, -ENAMETOOLONG, "at most 107");
	path[107] = '\0';
	check_failure(unix_uri(path), TIMEOUT, -ENOENT, "xxx: No");
}

static void what_is_not_spoken_is_refused(void **state)
{
	(void)state;
	check_failure(parse("nbds://127.0.0.1/"), TIMEOUT, -EOPNOTSUPP, "TLS");
	check_failure(parse("nbds+unix:///?socket=/s"), TIMEOUT, -EOPNOTSUPP, "TLS");
	check_failure(parse("nbd://127.0.0.1/?tls-certificates=/x"), TIMEOUT, -EOPNOTSUPP, "TLS");
	check_failure(parse("nbd://127.0.0.1/?tls-type=psk"), TIMEOUT, -EOPNOTSUPP, "TLS");
	check_failure(parse("nbd+vsock://2/"), TIMEOUT, -EOPNOTSUPP, "vsock");
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_folder, tear_down_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_address_is_connected_without_delay),
		cmocka_unit_test(each_address_of_a_name_is_tried),
		cmocka_unit_test(silent_address_does_not_use_up_the_time),
		cmocka_unit_test(silent_address_alone_times_out),
		cmocka_unit_test(refused_connection_names_the_server),
		cmocka_unit_test(silence_after_connecting_names_the_server),
		cmocka_unit_test(unknown_host_is_told_in_the_resolver_s_words),
		cmocka_unit_test(slow_resolver_is_not_waited_for),
		FOLDER_TEST(unix_socket_is_connected),
		FOLDER_TEST(full_queue_of_a_unix_socket_times_out),
		cmocka_unit_test(missing_unix_socket_is_named),
		cmocka_unit_test(long_path_of_a_unix_socket_is_refused),
		cmocka_unit_test(what_is_not_spoken_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
