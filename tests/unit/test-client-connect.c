/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting over TCP, within one deadline. The resolver is ours: see getaddrinfo() below. */
#include <arpa/inet.h>
#include <errno.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client-fixture.h"

#define TIMEOUT 2000 /* milliseconds */

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
		poll(NULL, 0, 1000);
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

static void rule_7_tcp_address_is_connected_without_delay(void **state)
{
	struct greeter greeter;
	socklen_t size = sizeof(int);
	uint16_t port = 0;
	int on = 0;

	(void)state;
	greeter_start(&greeter, listen_tcp("127.0.0.1", &port, 5));
	int fd = connect_and_take(tcp_uri("127.0.0.1", port));
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	assert_int_equal(on, 1);
	close(fd);
	greeter_finish(&greeter);
}

/* Nobody listens on the first address. */
static void each_address_of_a_name_is_tried(void **state)
{
	struct greeter greeter;
	uint16_t port = 0;

	(void)state;
	greeter_start(&greeter, listen_tcp("127.0.0.1", &port, 5));
	close(connect_and_take(tcp_uri("two.test", port)));
	greeter_finish(&greeter);
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
	struct greeter greeter;
	uint16_t port = 0;
	int fds[8];

	(void)state;
	int listener = listen_tcp("127.0.0.1", &port, 5);
	int silent = listen_tcp("127.0.0.2", &port, 0);
	size_t count = fill_queue(port, "127.0.0.2", fds, 8);
	greeter_start(&greeter, listener);
	close(connect_and_take(tcp_uri("two.test", port)));
	greeter_finish(&greeter);
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
	check_connect_fails(tcp_uri("127.0.0.2", port), 100, -ETIMEDOUT, name);
	assert_in_range(milliseconds() - begin, 95, 5000);
	close_all(fds, count);
	close(silent);
}

static void refused_connection_names_the_server(void **state)
{
	uint16_t port = 0;

	(void)state;
	close(listen_tcp("127.0.0.1", &port, 0));
	check_connect_fails(tcp_uri("127.0.0.1", port), TIMEOUT, -ECONNREFUSED, "127.0.0.1:");
	check_connect_fails(tcp_uri("two.test", port), TIMEOUT, -ECONNREFUSED, "two.test:");
}

static void silence_after_connecting_names_the_server(void **state)
{
	uint16_t port = 0;
	char text[64];

	(void)state;
	int listener = listen_tcp("127.0.0.1", &port, 5);
	snprintf(text, sizeof(text), "127.0.0.1:%u sent no NBD greeting within 0.05 s", port);
	check_connect_fails(tcp_uri("127.0.0.1", port), 50, -ETIMEDOUT, text);
	close(listener);
}

static void unknown_host_is_told_in_the_resolver_s_words(void **state)
{
	(void)state;
	check_connect_fails(
		tcp_uri("no.test", 1), TIMEOUT, -EHOSTUNREACH, gai_strerror(EAI_NONAME));
}

/* And what it finds later goes nowhere. */
static void slow_resolver_is_not_waited_for(void **state)
{
	(void)state;
	check_connect_fails(tcp_uri("slow.test", 1), 50, -ETIMEDOUT, "slow.test");
	assert_int_equal(slow_lookups, 0);
	for (int i = 0; i < 200 && !slow_lookups; i++)
		poll(NULL, 0, 20);
	assert_int_equal(slow_lookups, 1);
	poll(NULL, 0, 50);
}

static void what_is_not_spoken_is_refused(void **state)
{
	(void)state;
	check_connect_fails(parse("nbd+vsock://2/"), TIMEOUT, -EOPNOTSUPP, "vsock");
	check_connect_fails(
		parse("nbds+vsock://2/?tls-verify-peer=0"), TIMEOUT, -EOPNOTSUPP, "vsock");
	check_connect_fails(
		parse("nbds://127.0.0.1/?tls-type=anon"), TIMEOUT, -EOPNOTSUPP, "anon");
}

/* Nothing is there to connect to: these are refused before. */
static void parameters_of_tls_must_fit(void **state)
{
	(void)state;
	check_connect_fails(
		parse("nbd://127.0.0.1/?tls-certificates=/x"), TIMEOUT, -EINVAL, "nbds");
	check_connect_fails(parse("nbd://127.0.0.1/?tls-psk-file=/x"), TIMEOUT, -EINVAL, "nbds");
	check_connect_fails(parse("nbd://127.0.0.1/?tls-hostname=x"), TIMEOUT, -EINVAL, "nbds");
	check_connect_fails(parse("nbd://127.0.0.1/?tls-type=psk"), TIMEOUT, -EINVAL, "nbds");
	check_connect_fails(
		parse("nbds://127.0.0.1/?tls-type=psk"), TIMEOUT, -EINVAL, "tls-psk-file");
	check_connect_fails(parse("nbds://127.0.0.1/?tls-type=x509&tls-psk-file=/x"), TIMEOUT,
		-EINVAL, "tls-psk-file");
	check_connect_fails(parse("nbds://127.0.0.1/?tls-certificates=/x&tls-psk-file=/x"), TIMEOUT,
		-EINVAL, "not by both");
	check_connect_fails(parse("nbds://127.0.0.1/?tls-certificates=/no/such"), TIMEOUT, -ENOENT,
		"/no/such/ca-cert.pem");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_7_tcp_address_is_connected_without_delay),
		cmocka_unit_test(each_address_of_a_name_is_tried),
		cmocka_unit_test(silent_address_does_not_use_up_the_time),
		cmocka_unit_test(silent_address_alone_times_out),
		cmocka_unit_test(refused_connection_names_the_server),
		cmocka_unit_test(silence_after_connecting_names_the_server),
		cmocka_unit_test(unknown_host_is_told_in_the_resolver_s_words),
		cmocka_unit_test(slow_resolver_is_not_waited_for),
		cmocka_unit_test(what_is_not_spoken_is_refused),
		cmocka_unit_test(parameters_of_tls_must_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
