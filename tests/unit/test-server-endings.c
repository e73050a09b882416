/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection ends: goodbye, death, broken protocol, stop (rules 40, 42). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server-fixture.h"
#include "wire.h"

static void rule_40_wrong_request_magic_hangs_up(void **state)
{
	struct server_fixture *fixture = *state;
	unsigned char junk[28];

	memset(junk, 'j', sizeof(junk));
	send_bytes(fixture->fd, junk, sizeof(junk));
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_42_goodbye_has_no_reply(void **state)
{
	struct server_fixture *fixture = *state;

	send_request(fixture->fd, 0, NBD_CMD_DISC, 1, 0, 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void rule_42_goodbye_waits_for_what_is_outstanding(void **state)
{
	struct server_fixture *fixture = *state;
	uint64_t cookie;

	fixture->memory.hold = 3;
	for (unsigned int i = 0; i < 3; i++)
		send_request(fixture->fd, 0, NBD_CMD_TRIM, i, 0, 512);
	send_request(fixture->fd, 0, NBD_CMD_DISC, 9, 0, 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void half_closing_client_gets_all_its_replies(void **state)
{
	struct server_fixture *fixture = *state;
	static unsigned char data[256 * KIB];

	for (unsigned int i = 0; i < 50; i++)
		send_request(fixture->fd, 0, NBD_CMD_READ, i, 0, sizeof(data));
	shutdown(fixture->fd, SHUT_WR);
	for (unsigned int i = 0; i < 50; i++)
		assert_int_equal(receive_reply(fixture->fd, i, data, sizeof(data)), 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void death_inside_a_payload_writes_nothing(void **state)
{
	static const uint32_t lengths[] = { 10, 4096, 200000 };
	struct server_fixture *fixture = *state;
	unsigned char *data = malloc(200000);

	memset(data, 0xff, 200000);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		send_request(fixture->fd, 0, NBD_CMD_WRITE, 1, 0, lengths[i]);
		send_bytes(fixture->fd, data, lengths[i] - 1);
		assert_int_equal(session_join(&fixture->session), -ECONNRESET);
		assert_int_equal(atomic_load(&fixture->memory.operations), 0);
		server_reconnect(fixture);
	}
	free(data);
}

static void death_inside_a_header_is_noticed(void **state)
{
	struct server_fixture *fixture = *state;

	send_bytes(fixture->fd, "\x25\x60\x95\x13", 4);
	assert_int_equal(session_join(&fixture->session), -ECONNRESET);
}

static void vanishing_client_leaves_buffers_to_pending_operations(void **state)
{
	struct server_fixture *fixture = *state;

	fixture->memory.hold = 5;
	for (unsigned int i = 0; i < 4; i++)
		send_request(fixture->fd, 0, NBD_CMD_READ, i, 0, 64 * KIB);
	while (atomic_load(&fixture->memory.operations) < 4)
		pause_briefly();
	close(fixture->fd);
	fixture->session.fd = -1;
	pause_briefly();
	assert_int_equal(atomic_load(&fixture->memory.held), 4);
	assert_false(atomic_load(&fixture->session.ended));
	fixture->memory.hold = 4;
	session_join(&fixture->session);
	assert_int_equal(atomic_load(&fixture->memory.held), 0);
}

static void hanging_up_leaves_buffers_to_pending_operations(void **state)
{
	static const unsigned char junk[28] = { 'j' };
	struct server_fixture *fixture = *state;

	fixture->memory.hold = 5;
	for (unsigned int i = 0; i < 4; i++)
		send_request(fixture->fd, 0, NBD_CMD_READ, i, 0, 64 * KIB);
	send_bytes(fixture->fd, junk, sizeof(junk));
	await_reception(fixture->fd);
	pause_briefly();
	assert_int_equal(atomic_load(&fixture->memory.held), 4);
	assert_false(atomic_load(&fixture->session.ended));
	fixture->memory.hold = 4;
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_42_stop_ends_idle_clients_at_once(void **state)
{
	struct server_fixture *fixture = *state;
	struct session others[20];

	for (size_t i = 0; i < 20; i++)
		session_open(&others[i], fixture->session.server, "disk");
	assert_true(in_step(fixture->fd));
	nbdt_server_stop(fixture->session.server);
	assert_true(at_end(fixture->fd));
	for (size_t i = 0; i < 20; i++) {
		assert_true(at_end(others[i].fd));
		assert_int_equal(session_join(&others[i]), 0);
	}
}

static void rule_42_stop_answers_what_was_received(void **state)
{
	enum { COUNT = 8 };
	struct server_fixture *fixture = *state;
	uint64_t cookie;

	fixture->memory.hold = COUNT;
	for (unsigned int i = 0; i < COUNT - 1; i++)
		send_request(fixture->fd, 0, NBD_CMD_TRIM, i, 0, 512);
	while (atomic_load(&fixture->memory.operations) < COUNT - 1)
		pause_briefly();
	send_request(fixture->fd, 0, NBD_CMD_TRIM, COUNT - 1, 0, 512);
	nbdt_server_stop(fixture->session.server);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void unknown_export_cannot_be_served(void **state)
{
	struct server_fixture *fixture = *state;
	struct session session;

	session_open(&session, fixture->session.server, "nothing");
	assert_true(at_end(session.fd));
	assert_int_equal(session_join(&session), -ENXIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(rule_40_wrong_request_magic_hangs_up),
		SERVER_TEST(rule_42_goodbye_has_no_reply),
		SERVER_TEST(rule_42_goodbye_waits_for_what_is_outstanding),
		SERVER_TEST(half_closing_client_gets_all_its_replies),
		SERVER_TEST(death_inside_a_payload_writes_nothing),
		SERVER_TEST(death_inside_a_header_is_noticed),
		SERVER_TEST(vanishing_client_leaves_buffers_to_pending_operations),
		SERVER_TEST(hanging_up_leaves_buffers_to_pending_operations),
		SERVER_TEST(rule_42_stop_ends_idle_clients_at_once),
		SERVER_TEST(rule_42_stop_answers_what_was_received),
		SERVER_TEST(unknown_export_cannot_be_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
