/* SPDX-License-Identifier: Apache-2.0 */
/* The encrypted transport, with a GnuTLS of its own at the other end. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls-peer.h"
#include "tls.h"

#define LARGE (4u * 1024 * 1024)
#define PATIENCE 10000 /* milliseconds */

/* We are the server, but for what the two sides differ in. */
struct fixture {
	struct tls_credentials *credentials;
	struct transport *transport;
	struct tls_peer peer;
	atomic_bool may_go_on; /* what the peer waits for, if it does */
	bool right;            /* what the peer found out */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->peer.folder = "good";
	fixture->peer.arg = fixture;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	tls_credentials_free(fixture->credentials);
	free(fixture);
	return 0;
}

static void start(struct fixture *fixture,
	void (*play)(gnutls_session_t session, int fd, void *arg))
{
	const struct nbdt_tls_options options = { .certificates = tls_file("good") };
	struct nbdt_error err;
	int fd;

	fixture->peer.play = play;
	assert_int_equal(tls_credentials_new(true, &options, &fixture->credentials, NULL), 0);
	tls_peer_start(&fixture->peer, &fd);
	fixture->transport = transport_plain(fd);
	if (tls_start(&fixture->transport, fixture->credentials, "the peer", -1,
		    deadline_after(PATIENCE), &err))
		fail_msg("%s", err.text);
}

static void finish(struct fixture *fixture)
{
	transport_close(fixture->transport);
	assert_int_equal(tls_peer_finish(&fixture->peer), 0);
}

static ssize_t receive(struct fixture *fixture, void *buffer, size_t size)
{
	return fixture->transport->ops->receive(fixture->transport, buffer, size);
}

static int receive_all(struct fixture *fixture, void *buffer, size_t size)
{
	return transport_receive_all(
		fixture->transport, buffer, size, -1, deadline_after(PATIENCE));
}

static int await(struct fixture *fixture)
{
	return transport_wait(fixture->transport, POLLIN, -1, deadline_after(PATIENCE));
}

static void await_permission(struct fixture *fixture)
{
	for (int i = 0; i < PATIENCE / 5 && !fixture->may_go_on; i++)
		poll(NULL, 0, 5);
}

static unsigned char *pattern(size_t size)
{
	unsigned char *bytes = malloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i % 251);
	return bytes;
}

static void say_abc(gnutls_session_t session, int fd, void *arg)
{
	char byte;

	(void)fd;
	await_permission(arg);
	tls_say(session, "abc", 3);
	tls_hear(session, &byte, 1);
}

static void receive_never_waits(void **state)
{
	struct fixture *fixture = *state;
	char bytes[8];

	start(fixture, say_abc);
	assert_int_equal(receive(fixture, bytes, 8), -EAGAIN);
	assert_false(fixture->transport->ops->pending(fixture->transport));
	fixture->may_go_on = true;
	assert_int_equal(await(fixture), 0);
	assert_int_equal(receive(fixture, bytes, 8), 3);
	assert_memory_equal(bytes, "abc", 3);
	assert_int_equal(receive(fixture, bytes, 8), -EAGAIN);
	finish(fixture);
}

static void say_in_two_records(gnutls_session_t session, int fd, void *arg)
{
	char byte;

	(void)fd;
	tls_say(session, "abc", 3);
	tls_say(session, "defg", 4);
	((struct fixture *)arg)->may_go_on = true;
	tls_hear(session, &byte, 1);
}

/* Both in GnuTLS, and in what was received but not decrypted. */
static void bytes_read_ahead_are_pending(void **state)
{
	struct fixture *fixture = *state;
	struct transport *transport;
	char bytes[8];

	start(fixture, say_in_two_records);
	transport = fixture->transport;
	await_permission(fixture);
	assert_int_equal(receive(fixture, bytes, 1), 1);
	assert_true(transport->ops->pending(transport));
	assert_int_equal(receive(fixture, bytes, 2), 2);
	assert_true(transport->ops->pending(transport));
	assert_int_equal(receive(fixture, bytes, 4), 4);
	assert_memory_equal(bytes, "defg", 4);
	assert_false(transport->ops->pending(transport));
	finish(fixture);
}

static void one_receive_takes_several_records(void **state)
{
	struct fixture *fixture = *state;
	char bytes[8];

	start(fixture, say_in_two_records);
	await_permission(fixture);
	assert_int_equal(receive(fixture, bytes, 8), 7);
	assert_memory_equal(bytes, "abcdefg", 7);
	finish(fixture);
}

static void say_byte_by_byte(gnutls_session_t session, int fd, void *arg)
{
	char byte = 'b';

	(void)fd;
	for (int i = 0; i < 100; i++)
		tls_say(session, &byte, 1);
	((struct fixture *)arg)->may_go_on = true;
	tls_hear(session, &byte, 1);
}

/* A peer that sends as fast as we receive could keep us there, beyond any deadline. */
static void one_receive_takes_no_more_than_64_records(void **state)
{
	struct fixture *fixture = *state;
	char bytes[100];

	start(fixture, say_byte_by_byte);
	await_permission(fixture);
	assert_int_equal(receive(fixture, bytes, 100), 64);
	assert_true(fixture->transport->ops->pending(fixture->transport));
	assert_int_equal(receive(fixture, bytes, 100), 36);
	finish(fixture);
}

static void echo_large(gnutls_session_t session, int fd, void *arg)
{
	unsigned char *bytes = malloc(LARGE);

	(void)fd;
	(void)arg;
	if (tls_hear(session, bytes, LARGE))
		tls_say(session, bytes, LARGE);
	free(bytes);
}

/* Larger than any socket buffer, in pieces of all kinds, empty ones included. */
static void whole_vector_goes_there_and_back(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *all = pattern(LARGE);
	unsigned char *back = calloc(1, LARGE);
	struct iovec vector[] = {
		{ all, 1 },
		{ all + 1, 0 },
		{ all + 1, 1000 },
		{ all + 1001, 100000 },
		{ all + 101001, 16384 },
		{ all + 117385, 16383 },
		{ all + 133768, LARGE - 133769 },
		{ all + LARGE - 1, 1 },
		{ all, 0 },
	};

	start(fixture, echo_large);
	assert_int_equal(transport_send_all(fixture->transport, vector, 9, -1,
				 deadline_after(PATIENCE)),
		0);
	assert_int_equal(receive_all(fixture, back, LARGE), 0);
	assert_memory_equal(back, all, LARGE);
	finish(fixture);
	free(all);
	free(back);
}

/* Reads what is on the wire. */
static size_t count_records(int fd)
{
	unsigned char header[5], contents[20000];
	size_t count = 0;

	while (recv(fd, header, sizeof(header), MSG_WAITALL) == sizeof(header)) {
		size_t length = (size_t)header[3] << 8 | header[4];

		if (recv(fd, contents, length, MSG_WAITALL) != (ssize_t)length)
			break;
		count++;
	}
	return count;
}

static void expect_three_records(gnutls_session_t session, int fd, void *arg)
{
	struct fixture *fixture = arg;

	(void)session;
	/* The third is the goodbye. */
	fixture->right = count_records(fd) == 3;
}

/* 16 KiB is what a record can have. */
static void small_pieces_share_a_record(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *bytes = pattern(64);
	struct iovec vector[300];

	for (size_t i = 0; i < 300; i++)
		vector[i] = (struct iovec){ bytes, 64 };
	start(fixture, expect_three_records);
	assert_int_equal(transport_send_all(fixture->transport, vector, 300, -1,
				 deadline_after(PATIENCE)),
		0);
	finish(fixture);
	assert_true(fixture->right);
	free(bytes);
}

static void hear_large(gnutls_session_t session, int fd, void *arg)
{
	struct fixture *fixture = arg;
	unsigned char *expected = pattern(LARGE), *bytes = malloc(LARGE);
	char more;

	(void)fd;
	await_permission(fixture);
	fixture->right = tls_hear(session, bytes, LARGE) && !memcmp(bytes, expected, LARGE)
			 && !tls_hear(session, &more, 1);
	free(expected);
	free(bytes);
}

/*
 * As the engine does it: what was not taken is offered again, maybe in another vector. A change of
 * keys in between makes GnuTLS send something of its own.
 */
static void bytes_that_had_to_wait_are_sent_once(void **state)
{
	struct fixture *fixture = *state;
	struct tls_transport *tls;
	unsigned char *all = pattern(LARGE);
	size_t done = 0;
	bool waited = false;

	start(fixture, hear_large);
	tls = (struct tls_transport *)fixture->transport;
	while (done < LARGE) {
		size_t piece = LARGE - done < 300000 ? LARGE - done : 300000;
		struct iovec vector[] = { { all + done, piece / 3 },
			{ all + done + piece / 3, piece - piece / 3 } };
		ssize_t sent = tls->transport.ops->send(&tls->transport, vector, 2);

		if (sent == -EAGAIN && !waited) {
			waited = true;
			assert_int_equal(
				tls->transport.ops->send(&tls->transport, vector, 2), -EAGAIN);
			assert_int_equal(gnutls_session_key_update(tls->session, 0), 0);
			fixture->may_go_on = true;
		}
		if (sent == -EAGAIN)
			assert_int_equal(transport_wait(&tls->transport, POLLOUT, -1,
						 deadline_after(PATIENCE)),
				0);
		else
			assert_true(sent > 0);
		done += sent > 0 ? (size_t)sent : 0;
	}
	assert_true(waited);
	finish(fixture);
	assert_true(fixture->right);
	free(all);
}

static void change_keys(gnutls_session_t session, int fd, void *arg)
{
	struct fixture *fixture = arg;
	char bytes[3];

	(void)fd;
	tls_say(session, "abc", 3);
	gnutls_session_key_update(session, GNUTLS_KU_PEER);
	tls_say(session, "def", 3);
	fixture->right = tls_hear(session, bytes, 3) && !memcmp(bytes, "xyz", 3);
}

static void keys_are_changed_on_demand(void **state)
{
	struct fixture *fixture = *state;
	struct iovec vector = { "xyz", 3 };
	char bytes[6];

	fixture->peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3";
	start(fixture, change_keys);
	assert_int_equal(receive_all(fixture, bytes, 6), 0);
	assert_memory_equal(bytes, "abcdef", 6);
	assert_int_equal(transport_send_all(fixture->transport, &vector, 1, -1,
				 deadline_after(PATIENCE)),
		0);
	finish(fixture);
	assert_true(fixture->right);
}

static void renegotiate(gnutls_session_t session, int fd, void *arg)
{
	(void)fd;
	(void)arg;
	gnutls_handshake(session);
}

static void renegotiation_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char byte;

	fixture->peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
	start(fixture, renegotiate);
	assert_int_equal(receive_all(fixture, &byte, 1), -EPROTO);
	assert_non_null(strstr(fixture->transport->reason, "ehandshake"));
	assert_int_equal(receive(fixture, &byte, 1), -EPROTO);
	finish(fixture);
}

static void say_and_leave(gnutls_session_t session, int fd, void *arg)
{
	(void)fd;
	(void)arg;
	tls_say(session, "abc", 3);
	tls_leave(session);
}

static void say_and_vanish(gnutls_session_t session, int fd, void *arg)
{
	(void)fd;
	(void)arg;
	tls_say(session, "abc", 3);
}

static void check_end(struct fixture *fixture)
{
	char bytes[3];

	assert_int_equal(receive_all(fixture, bytes, 3), 0);
	assert_int_equal(receive_all(fixture, bytes, 1), -EPIPE);
	assert_int_equal(receive(fixture, bytes, 1), 0);
	assert_null(fixture->transport->reason);
	finish(fixture);
}

static void goodbye_is_the_end_of_the_stream(void **state)
{
	start(*state, say_and_leave);
	check_end(*state);
}

static void end_without_goodbye_is_one_all_the_same(void **state)
{
	start(*state, say_and_vanish);
	check_end(*state);
}

static void expect_goodbye(gnutls_session_t session, int fd, void *arg)
{
	struct fixture *fixture = arg;
	char byte;

	(void)fd;
	fixture->right = gnutls_record_recv(session, &byte, 1) == 0;
}

static void closing_says_goodbye(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, expect_goodbye);
	finish(fixture);
	assert_true(fixture->right);
}

static void wait_only(gnutls_session_t session, int fd, void *arg)
{
	(void)session;
	(void)fd;
	await_permission(arg);
}

static void closing_waits_for_nobody(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *all = pattern(LARGE);
	struct iovec vector = { all, LARGE };

	start(fixture, wait_only);
	assert_int_equal(transport_send_all(
				 fixture->transport, &vector, 1, -1, deadline_after(50)),
		-ETIMEDOUT);
	transport_close(fixture->transport);
	fixture->may_go_on = true;
	assert_int_equal(tls_peer_finish(&fixture->peer), 0);
	free(all);
}

static void say_plaintext(gnutls_session_t session, int fd, void *arg)
{
	(void)session;
	(void)arg;
	send(fd, "IHAVEOPT and more", 17, MSG_NOSIGNAL);
}

static void say_damaged_record(gnutls_session_t session, int fd, void *arg)
{
	static const unsigned char record[] = { 23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
		12, 13, 14, 15, 16, 17, 18, 19, 20 };

	(void)session;
	(void)arg;
	send(fd, record, sizeof(record), MSG_NOSIGNAL);
}

static void check_failure(struct fixture *fixture, int code, const char *word)
{
	struct iovec vector = { "a", 1 };
	char byte;

	assert_int_equal(receive_all(fixture, &byte, 1), code);
	if (!strstr(fixture->transport->reason, word))
		fail_msg("'%s' does not say '%s'", fixture->transport->reason, word);
	assert_int_equal(receive(fixture, &byte, 1), code);
	assert_int_equal(fixture->transport->ops->send(fixture->transport, &vector, 1), code);
	finish(fixture);
}

static void plaintext_in_between_is_an_error(void **state)
{
	start(*state, say_plaintext);
	check_failure(*state, -EPROTO, "packet");
}

static void damaged_record_is_an_error(void **state)
{
	start(*state, say_damaged_record);
	check_failure(*state, -EPROTO, "Decryption");
}

static void say_alert(gnutls_session_t session, int fd, void *arg)
{
	(void)fd;
	(void)arg;
	gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
}

static void alert_is_told(void **state)
{
	start(*state, say_alert);
	check_failure(*state, -EREMOTEIO, "Access was denied");
}

static void flood_with_empty_records(gnutls_session_t session, int fd, void *arg)
{
	(void)fd;
	(void)arg;
	while (gnutls_record_send2(session, "", 0, 10, 0) >= 0)
		;
}

static void records_without_data_have_an_end(void **state)
{
	struct fixture *fixture = *state;

	fixture->peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3";
	start(fixture, flood_with_empty_records);
	check_failure(fixture, -EPROTO, "empty");
}

static void say_alert_and_vanish(gnutls_session_t session, int fd, void *arg)
{
	say_alert(session, fd, arg);
	shutdown(fd, SHUT_RDWR);
	((struct fixture *)arg)->may_go_on = true;
}

/* As a server does that rejects a client's certificate: TLS 1.3 tells only then. */
static void alert_is_told_to_one_who_only_sends(void **state)
{
	struct fixture *fixture = *state;
	struct iovec vector = { "a", 1 };

	start(fixture, say_alert_and_vanish);
	await_permission(fixture);
	assert_int_equal(
		fixture->transport->ops->send(fixture->transport, &vector, 1), -EREMOTEIO);
	assert_string_equal(fixture->transport->reason, "Access was denied");
	finish(fixture);
}

static void send_to_one_who_vanished_fails(void **state)
{
	struct fixture *fixture = *state;
	struct iovec vector = { "a", 1 };
	char byte;

	start(fixture, NULL);
	assert_int_equal(receive_all(fixture, &byte, 1), -EPIPE);
	assert_int_equal(fixture->transport->ops->send(fixture->transport, &vector, 1), -EPIPE);
	finish(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(receive_never_waits),
		TEST(bytes_read_ahead_are_pending),
		TEST(one_receive_takes_several_records),
		TEST(one_receive_takes_no_more_than_64_records),
		TEST(whole_vector_goes_there_and_back),
		TEST(small_pieces_share_a_record),
		TEST(bytes_that_had_to_wait_are_sent_once),
		TEST(keys_are_changed_on_demand),
		TEST(renegotiation_is_refused),
		TEST(goodbye_is_the_end_of_the_stream),
		TEST(end_without_goodbye_is_one_all_the_same),
		TEST(closing_says_goodbye),
		TEST(closing_waits_for_nobody),
		TEST(plaintext_in_between_is_an_error),
		TEST(damaged_record_is_an_error),
		TEST(alert_is_told),
		TEST(records_without_data_have_an_end),
		TEST(alert_is_told_to_one_who_only_sends),
		TEST(send_to_one_who_vanished_fails),
	};

	return cmocka_run_group_tests(tests, tls_files_set_up, tls_files_tear_down);
}
