/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused before the kernel sees it, and what is said where there is no driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel-internal.h"

static int pair[2];
static struct nbdt_kernel_config good;

static int open_pair(void **state)
{
	(void)state;
	good = (struct nbdt_kernel_config){
		.index = NBDT_INDEX_ANY,
		.sockets = pair,
		.socket_count = 1,
		.size = 1 << 20,
		.block_size = 4096,
	};
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void refused(const struct nbdt_kernel_config *config, int code, const char *words)
{
	struct nbdt_error err = { 0 };

	assert_int_equal(kernel_check_config(config, &err), code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" lacks \"%s\"", err.text, words);
}

static void good_values_are_taken(void **state)
{
	(void)state;
	assert_int_equal(kernel_check_config(&good, NULL), 0);
	good.size = 0;
	assert_int_equal(kernel_check_config(&good, NULL), 0);
}

static void odd_block_sizes_are_refused(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 256, 513, 1000, 131072, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		good.block_size = sizes[i];
		refused(&good, -EINVAL, "power of two");
	}
}

static void size_that_would_lose_its_tail_is_refused(void **state)
{
	(void)state;
	good.size += 512;
	refused(&good, -EINVAL, "not a multiple of the block size 4096");
}

static void size_from_two_to_the_63rd_on_is_refused(void **state)
{
	(void)state;
	good.size = UINT64_C(1) << 63;
	refused(&good, -EINVAL, "2^63");
}

static void connection_is_needed(void **state)
{
	(void)state;
	good.socket_count = 0;
	refused(&good, -EINVAL, "no connection");
}

static void several_connections_need_the_servers_word(void **state)
{
	(void)state;
	good.socket_count = 2;
	refused(&good, -EINVAL, "CAN_MULTI_CONN");
	good.server_flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN;
	assert_int_equal(kernel_check_config(&good, NULL), 0);
}

static void what_is_no_connected_stream_socket_is_refused_by_number(void **state)
{
	int pipe_ends[2], packets[2], sockets[2] = { pair[0], -1 };

	(void)state;
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets), 0);
	int unconnected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	good.sockets = sockets;
	good.socket_count = 2;
	good.server_flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN;
	refused(&good, -EBADF, "connection 2");
	sockets[1] = pipe_ends[0];
	refused(&good, -ENOTSOCK, "connection 2");
	sockets[1] = packets[0];
	refused(&good, -EINVAL, "only TCP and Unix stream");
	sockets[1] = unconnected;
	refused(&good, -ENOTCONN, "connection 2");
	close(unconnected);
	for (int i = 0; i < 2; i++) {
		close(pipe_ends[i]);
		close(packets[i]);
	}
}

static void identifier_that_sysfs_cannot_show_is_refused(void **state)
{
	char identifier[4002];

	(void)state;
	memset(identifier, 'x', 4001);
	identifier[4001] = '\0';
	good.identifier = identifier;
	refused(&good, -EINVAL, "backend identifier");
	identifier[4000] = '\0';
	assert_int_equal(kernel_check_config(&good, NULL), 0);
	identifier[5] = '\n';
	refused(&good, -EINVAL, "newlines");
}

static void machine_without_driver_says_so_and_loads_nothing(void **state)
{
	struct nbdt_kernel_status *list;
	struct nbdt_link_events *events;
	struct nbdt_error err = { 0 };
	size_t count;

	(void)state;
	if (kernel_has_driver())
		skip();
	assert_int_equal(nbdt_kernel_has_netlink(&err), -ENODEV);
	assert_int_equal(nbdt_kernel_get_status(NBDT_INDEX_ANY, &list, &count, &err), -ENODEV);
	assert_non_null(strstr(err.text, "no nbd driver"));
	assert_int_equal(nbdt_kernel_disconnect(0, &err), -ENODEV);
	assert_int_equal(nbdt_link_events_open(&events, &err), -ENODEV);
	assert_false(kernel_has_driver());
}

#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PAIR(good_values_are_taken),
		WITH_PAIR(odd_block_sizes_are_refused),
		WITH_PAIR(size_that_would_lose_its_tail_is_refused),
		WITH_PAIR(size_from_two_to_the_63rd_on_is_refused),
		WITH_PAIR(connection_is_needed),
		WITH_PAIR(several_connections_need_the_servers_word),
		WITH_PAIR(what_is_no_connected_stream_socket_is_refused_by_number),
		WITH_PAIR(identifier_that_sysfs_cannot_show_is_refused),
		cmocka_unit_test(machine_without_driver_says_so_and_loads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
