/* SPDX-License-Identifier: Apache-2.0 */
/* What a server announces of its devices (rules 7, 24, 27 to 29, 33). */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "scripted-chunks.h"
#include "transport.h"
#include "wire.h"

static void rule_07_no_delay_on_tcp(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(int);
	int on = 0;

	(void)state;
	assert_true(fd >= 0);
	struct transport *transport = transport_plain(fd);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
	assert_int_equal(on, 1);
	transport_close(transport);
}

/* What GO tells of the block sizes. */
static void ask_sizes(struct server_fixture *fixture, uint32_t sizes[3])
{
	static const uint16_t wish = NBD_INFO_BLOCK_SIZE;
	unsigned char data[64];
	struct talk talk;
	size_t length;

	talk_begin(&talk, fixture->session.server);
	send_information_option(talk.fd, NBD_OPT_INFO, "disk", &wish, 1);
	while (receive_option_reply(talk.fd, NBD_OPT_INFO, data, sizeof(data), &length) ==
		NBD_REP_INFO) {
		for (int i = 0; i < 3 && wire_get16(data) == NBD_INFO_BLOCK_SIZE; i++)
			sizes[i] = wire_get32(data + 2 + 4 * i);
	}
	talk_close(&talk);
}

static void rule_24_block_sizes_are_the_devices(void **state)
{
	struct server_fixture *fixture = *state;
	uint32_t sizes[3] = { 0 };

	ask_sizes(fixture, sizes);
	assert_int_equal(sizes[0], 1);
	assert_int_equal(sizes[1], 4096);
	assert_int_equal(sizes[2], NBDT_MAX_PAYLOAD);
	fixture->memory.device.block_minimum = 65536;
	fixture->memory.device.block_preferred = 1u << 20;
	fixture->memory.device.block_maximum = UINT32_MAX;
	ask_sizes(fixture, sizes);
	assert_int_equal(sizes[0], 65536);
	assert_int_equal(sizes[1], 1u << 20);
	/* More is nowhere served. */
	assert_int_equal(sizes[2], NBDT_MAX_PAYLOAD);
}

static void rule_24_impossible_block_sizes_are_refused(void **state)
{
	static const uint32_t cases[][3] = {
		{ 0, 4096, 65536 },
		{ 3, 4096, 65536 },
		{ 131072, 131072, 1 << 20 },
		{ 1, 0, 65536 },
		{ 1, 256, 65536 },
		{ 1, 1000, 65536 },
		{ 8192, 4096, 65536 },
		{ 512, 4096, 2048 },
	};
	struct server_fixture *fixture = *state;
	struct nbdt_device device = fixture->memory.device;
	struct nbdt_error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		device.block_minimum = cases[i][0];
		device.block_preferred = cases[i][1];
		device.block_maximum = cases[i][2];
		assert_int_equal(nbdt_server_add_export(fixture->session.server, "x", NULL,
			&device, &err), -EINVAL);
		assert_non_null(strstr(err.text, "\"x\""));
	}
}

static void rule_26_payload_over_the_devices_maximum_is_refused(void **state)
{
	static struct content content;
	struct server_fixture *fixture = *state;
	struct talk talk;

	server_disconnect(fixture)->device.block_maximum = 65536;
	server_reconnect(fixture);
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED | TALK_BLOCK_SIZES);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_READ, 0, 65537), NBD_EOVERFLOW);
	assert_int_equal(talk_read(&talk, 0, 0, 65536, &content), 0);
	assert_int_equal(talk_ask(&talk, 0, NBD_CMD_TRIM, 0, MEMORY_SIZE), 0);
	talk_close(&talk);
	/* It binds nobody who was not told. */
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED);
	assert_int_equal(talk_read(&talk, 0, 0, MEMORY_SIZE, &content), 0);
	talk_close(&talk);
	/* In extended headers its breach ends it all. */
	talk_open(&talk, fixture->session.server, TALK_EXTENDED | TALK_BLOCK_SIZES);
	talk_request(&talk, NBD_CMD_FLAG_PAYLOAD_LEN, NBD_CMD_WRITE, 1, 0, 65537);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), -EPROTO);
}

static void rule_28_device_over_2_to_the_63_is_refused(void **state)
{
	struct server_fixture *fixture = *state;
	struct nbdt_device device = fixture->memory.device;

	device.size = UINT64_C(1) << 63;
	assert_int_equal(nbdt_server_add_export(
		fixture->session.server, "x", NULL, &device, NULL), -EINVAL);
	device.size--;
	assert_int_equal(
		nbdt_server_add_export(fixture->session.server, "x", NULL, &device, NULL), 0);
}

static void rule_29_flags_are_what_the_device_can(void **state)
{
	const uint16_t always = NBD_FLAG_HAS_FLAGS;
	const uint16_t writing =
		NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
	struct server_fixture *fixture = *state;
	struct nbdt_device *device = &fixture->memory.device;
	struct nbdt_device_ops *ops = &fixture->memory.ops;

	device->can_fast_zero = device->can_multi_conn = device->rotational = true;
	assert_int_equal(nbdt_device_flags(device), always | writing | NBD_FLAG_SEND_FLUSH |
		NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE | NBD_FLAG_CAN_MULTI_CONN |
		NBD_FLAG_ROTATIONAL);
	device->can_multi_conn = device->rotational = false;
	ops->flush = NULL;
	ops->cache = NULL;
	assert_int_equal(nbdt_device_flags(device), always | writing);
	/* Without FLUSH, too, FUA is for devices that have it. */
	device->can_fua = true;
	assert_int_equal(nbdt_device_flags(device), always | writing | NBD_FLAG_SEND_FUA);
	device->can_fua = false;
	ops->zero = NULL;
	assert_int_equal(nbdt_device_flags(device), always | NBD_FLAG_SEND_TRIM);
	device->read_only = true;
	assert_int_equal(nbdt_device_flags(device), always | NBD_FLAG_READ_ONLY);
	device->read_only = false;
	ops->pwrite = NULL;
	assert_int_equal(nbdt_device_flags(device), always | NBD_FLAG_READ_ONLY);
}

static void rule_33_all_connections_see_the_same(void **state)
{
	struct server_fixture *fixture = *state;
	static struct content content;
	struct talk talks[3];

	for (int i = 0; i < 3; i++) {
		talk_open(&talks[i], fixture->session.server, TALK_STRUCTURED);
		assert_int_equal(talks[i].flags, talks[0].flags);
	}
	assert_int_equal(write_data(fixture->fd, 0, 100, "seen", 4), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(talk_read(&talks[i], 0, 100, 4, &content), 0);
		assert_memory_equal(content.bytes, "seen", 4);
		talk_close(&talks[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_07_no_delay_on_tcp),
		SERVER_TEST(rule_24_block_sizes_are_the_devices),
		SERVER_TEST(rule_24_impossible_block_sizes_are_refused),
		SERVER_TEST(rule_26_payload_over_the_devices_maximum_is_refused),
		SERVER_TEST(rule_28_device_over_2_to_the_63_is_refused),
		SERVER_TEST(rule_29_flags_are_what_the_device_can),
		SERVER_TEST(rule_33_all_connections_see_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
