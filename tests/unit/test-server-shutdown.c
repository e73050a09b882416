/* SPDX-License-Identifier: Apache-2.0 */
/* A server that is stopped while clients with structured replies are at work (rule 42). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "scripted-chunks.h"
#include "wire.h"

/* Receives a reply of one chunk: its error, and its cookie. */
static uint32_t take_reply(struct talk *talk, uint64_t *cookie)
{
	static struct chunk chunk;

	talk_receive(talk, &chunk);
	assert_int_equal(chunk.flags, NBD_REPLY_FLAG_DONE);
	*cookie = chunk.cookie;
	return chunk.type == NBD_REPLY_TYPE_NONE ? 0 : wire_get32(chunk.payload);
}

/* A TRIM that the device keeps, until HOLD requests are there. */
static void begin_operation(struct server_fixture *fixture, struct talk *talk, unsigned int hold)
{
	atomic_store(&fixture->memory.hold, hold);
	talk_request(talk, 0, NBD_CMD_TRIM, 1, 0, 512);
	while (atomic_load(&fixture->memory.held) < 1)
		pause_briefly();
}

static void rule_42_idle_client_is_let_go_at_once(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk structured, extended;

	talk_open(&structured, fixture->session.server, TALK_STRUCTURED);
	talk_open(&extended, fixture->session.server, TALK_EXTENDED);
	assert_int_equal(talk_ask(&structured, 0, NBD_CMD_FLUSH, 0, 0), 0);
	nbdt_server_stop(fixture->session.server);
	assert_true(at_end(structured.fd));
	assert_true(at_end(extended.fd));
	assert_int_equal(talk_close(&structured), 0);
	assert_int_equal(talk_close(&extended), 0);
}

static void rule_42_outstanding_request_is_finished(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;
	uint64_t cookie;

	talk_open(&talk, fixture->session.server, TALK_STRUCTURED);
	begin_operation(fixture, &talk, 2);
	nbdt_server_stop(fixture->session.server);
	pause_briefly();
	assert_false(atomic_load(&talk.session.ended));
	atomic_store(&fixture->memory.hold, 1);
	assert_int_equal(take_reply(&talk, &cookie), 0);
	assert_int_equal(cookie, 1);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_42_later_requests_are_answered_with_eshutdown(void **state)
{
	static const unsigned char data[100000];
	struct server_fixture *fixture = *state;
	struct talk talk;
	uint64_t cookie;

	talk_open(&talk, fixture->session.server, TALK_STRUCTURED);
	begin_operation(fixture, &talk, 2);
	nbdt_server_stop(fixture->session.server);
	for (int i = 0; i < 5; i++)
		pause_briefly();
	for (uint64_t i = 10; i < 20; i++) {
		talk_request(&talk, 0, i % 2 ? NBD_CMD_WRITE : NBD_CMD_FLUSH, i, 0,
			i % 2 ? sizeof(data) : 0);
		send_bytes(talk.fd, data, i % 2 ? sizeof(data) : 0);
		assert_int_equal(take_reply(&talk, &cookie), NBD_ESHUTDOWN);
		assert_true(cookie == i);
	}
	assert_int_equal(atomic_load(&fixture->memory.operations), 1);
	atomic_store(&fixture->memory.hold, 1);
	assert_int_equal(take_reply(&talk, &cookie), 0);
	assert_int_equal(cookie, 1);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_42_write_under_way_is_finished(void **state)
{
	static unsigned char data[100000];
	struct server_fixture *fixture = *state;
	struct talk talk;
	uint64_t cookie;

	memset(data, 'w', sizeof(data));
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED);
	talk_request(&talk, 0, NBD_CMD_WRITE, 7, 0, sizeof(data));
	send_bytes(talk.fd, data, 1000);
	await_reception(talk.fd);
	nbdt_server_stop(fixture->session.server);
	pause_briefly();
	send_bytes(talk.fd, data + 1000, sizeof(data) - 1000);
	assert_int_equal(take_reply(&talk, &cookie), 0);
	assert_memory_equal(fixture->memory.bytes, data, sizeof(data));
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), 0);
}

/*
 * The kernel would fail the I/O that ESHUTDOWN answers, and repeats what nobody answers. Where the
 * server is slow to see its stop, the second request is served yet.
 */
static void rule_42_simple_replies_never_say_eshutdown(void **state)
{
	struct server_fixture *fixture = *state;
	uint64_t cookie;
	char byte;

	atomic_store(&fixture->memory.hold, 2);
	send_request(fixture->fd, 0, NBD_CMD_TRIM, 1, 0, 512);
	while (atomic_load(&fixture->memory.held) < 1)
		pause_briefly();
	nbdt_server_stop(fixture->session.server);
	for (int i = 0; i < 5; i++)
		pause_briefly();
	send_request(fixture->fd, 0, NBD_CMD_TRIM, 2, 0, 512);
	atomic_store(&fixture->memory.hold, 1);
	assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
	assert_int_equal(cookie, 1);
	if (recv(fixture->fd, &byte, 1, MSG_PEEK) > 0) {
		assert_int_equal(receive_any_reply(fixture->fd, &cookie), 0);
		assert_int_equal(cookie, 2);
	}
	assert_true(at_end(fixture->fd));
}

static void rule_42_goodbye_ends_the_wait(void **state)
{
	struct server_fixture *fixture = *state;
	struct talk talk;
	uint64_t cookie;

	talk_open(&talk, fixture->session.server, TALK_EXTENDED);
	begin_operation(fixture, &talk, 2);
	nbdt_server_stop(fixture->session.server);
	talk_request(&talk, 0, NBD_CMD_DISC, 0, 0, 0);
	atomic_store(&fixture->memory.hold, 1);
	assert_int_equal(take_reply(&talk, &cookie), 0);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), 0);
}

static void rule_42_stopped_server_serves_nobody_more(void **state)
{
	struct server_fixture *fixture = *state;
	struct session session;

	nbdt_server_stop(fixture->session.server);
	session_open(&session, fixture->session.server, NULL);
	assert_true(at_end(session.fd));
	assert_int_equal(session_join(&session), 0);
}

static void rule_42_client_that_takes_no_replies_does_not_hinder(void **state)
{
	enum { COUNT = 100 };
	struct server_fixture *fixture = *state;
	struct talk talk;

	memset(fixture->memory.bytes, 'd', MEMORY_SIZE);
	talk_open(&talk, fixture->session.server, TALK_STRUCTURED);
	for (unsigned int i = 0; i < COUNT; i++)
		talk_request(&talk, 0, NBD_CMD_READ, i, 0, MEMORY_SIZE);
	/* (It does not receive all of them, as long as nobody takes the replies.) */
	for (int i = 0; i < 10; i++)
		pause_briefly();
	nbdt_server_stop(fixture->session.server);
	/* Within 5 seconds, and before this side closes. */
	for (int i = 0; i < 400 && !atomic_load(&talk.session.ended); i++)
		pause_briefly();
	assert_true(atomic_load(&talk.session.ended));
	assert_int_equal(talk_close(&talk), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(rule_42_idle_client_is_let_go_at_once),
		SERVER_TEST(rule_42_outstanding_request_is_finished),
		SERVER_TEST(rule_42_later_requests_are_answered_with_eshutdown),
		SERVER_TEST(rule_42_write_under_way_is_finished),
		SERVER_TEST(rule_42_simple_replies_never_say_eshutdown),
		SERVER_TEST(rule_42_goodbye_ends_the_wait),
		SERVER_TEST(rule_42_stopped_server_serves_nobody_more),
		SERVER_TEST(rule_42_client_that_takes_no_replies_does_not_hinder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
