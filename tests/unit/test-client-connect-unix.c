/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to Unix sockets, within one deadline. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client-fixture.h"

#define TIMEOUT 2000 /* milliseconds */

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_all(const int *fds, size_t count)
{
	while (count)
		close(fds[--count]);
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
	struct greeter greeter;

	greeter_start(&greeter, dup(folder->listener));
	int fd = connect_and_take(unix_uri(folder->socket));
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size), 0);
	assert_int_equal(limit.tv_sec, 0);
	assert_int_equal(limit.tv_usec, 0);
	close(fd);
	greeter_finish(&greeter);
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
	check_connect_fails(unix_uri(folder->socket), 100, -ETIMEDOUT, folder->socket);
	assert_in_range(milliseconds() - begin, 95, 5000);
	close_all(fds, count + 1);
}

static void missing_unix_socket_is_named(void **state)
{
	(void)state;
	check_connect_fails(
		unix_uri("/nonexistent/socket"), TIMEOUT, -ENOENT, "/nonexistent/socket: No");
}

static void long_path_of_a_unix_socket_is_refused(void **state)
{
	char path[109];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[108] = '\0';
	check_connect_fails(unix_uri(path), TIMEOUT, -ENAMETOOLONG, "at most 107");
	path[107] = '\0';
	check_connect_fails(unix_uri(path), TIMEOUT, -ENOENT, "xxx: No");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_folder, tear_down_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unix_socket_is_connected),
		TEST(full_queue_of_a_unix_socket_times_out),
		cmocka_unit_test(missing_unix_socket_is_named),
		cmocka_unit_test(long_path_of_a_unix_socket_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
