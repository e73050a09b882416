/* SPDX-License-Identifier: Apache-2.0 */
/* The client's first steps: greetings of all kinds, and servers that are none. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbdtools.h"
#include "client-fixture.h"

#define TIMEOUT 5000 /* milliseconds, never reached */
#define SHORT 100
#define FIXED NBD_FLAG_FIXED_NEWSTYLE
#define NO_ZEROES NBD_FLAG_NO_ZEROES

static int set_up(void **state)
{
	*state = script_new();
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static int adopt(const struct script *script, unsigned int timeout, struct peer **peer,
	struct nbdt_client **client, struct nbdt_error *err)
{
	int fd;

	*peer = peer_start(script, &fd);
	*client = NULL;
	return scripted_client_open(script, fd, timeout, client, err);
}

/* Connects, and leaves at once. */
static void check_handshake(const struct script *script, enum nbdt_handshake handshake)
{
	struct nbdt_client *client;
	struct peer *peer;

	assert_int_equal(adopt(script, TIMEOUT, &peer, &client, NULL), 0);
	assert_int_equal(nbdt_client_handshake(client), handshake);
	scripted_client_close(client);
	assert_int_equal(peer_finish(peer), 0);
}

static void check_failure(const struct script *script, int code, const char *word)
{
	struct nbdt_error err = { 0 };
	struct nbdt_client *client;
	struct peer *peer;
	unsigned int timeout = code == -ETIMEDOUT ? SHORT : TIMEOUT;

	assert_int_equal(adopt(script, timeout, &peer, &client, &err), code);
	assert_null(client);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
	peer_finish(peer);
}

static void rule_8_client_answers_flags_and_leaves_with_abort(void **state)
{
	script_newstyle(*state, FIXED | NO_ZEROES, FIXED | NO_ZEROES);
	script_expect_abort(*state);
	check_handshake(*state, NBDT_HANDSHAKE_FIXED_NEWSTYLE);
}

static void rule_3_no_zeroes_is_sent_only_if_offered(void **state)
{
	script_newstyle(*state, FIXED, FIXED);
	script_expect_abort(*state);
	check_handshake(*state, NBDT_HANDSHAKE_FIXED_NEWSTYLE);
}

static void rule_3_unknown_handshake_flags_are_ignored(void **state)
{
	script_newstyle(*state, 0xffff, FIXED | NO_ZEROES);
	script_expect_abort(*state);
	check_handshake(*state, NBDT_HANDSHAKE_FIXED_NEWSTYLE);
}

static void rule_4_newstyle_that_is_not_fixed_gets_no_abort(void **state)
{
	script_newstyle(*state, 0, 0);
	check_handshake(*state, NBDT_HANDSHAKE_NEWSTYLE);
}

static void rule_2_oldstyle_server_is_recognised_and_left_with_a_disconnect(void **state)
{
	script_oldstyle(*state, 4096, 1);
	script_expect_disconnect(*state);
	check_handshake(*state, NBDT_HANDSHAKE_OLDSTYLE);
}

static void rule_8_abort_needs_no_answer(void **state)
{
	struct script *script = *state;

	script_greeting(script);
	script_expect_option(script, NBD_OPT_ABORT, NULL, 0);
	script_add(script, SCRIPT_CLOSE, NULL, 0);
	check_handshake(script, NBDT_HANDSHAKE_FIXED_NEWSTYLE);
}

static void rule_8_abort_does_not_wait_for_ever(void **state)
{
	struct script *script = *state;

	script_greeting(script);
	script_expect_option(script, NBD_OPT_ABORT, NULL, 0);
	script_add(script, SCRIPT_STALL, NULL, 0);
	check_handshake(script, NBDT_HANDSHAKE_FIXED_NEWSTYLE);
}

static void server_that_left_is_closed_without_a_word(void **state)
{
	struct script *script = *state;
	struct nbdt_client *client;
	struct peer *peer;

	script_greeting(script);
	script_add(script, SCRIPT_CLOSE, NULL, 0);
	assert_int_equal(adopt(script, TIMEOUT, &peer, &client, NULL), 0);
	peer_finish(peer);
	scripted_client_close(client);
}

static void rule_2_wrong_first_magic_is_no_nbd_server(void **state)
{
	script_add(*state, SCRIPT_SEND, "NBDMAGIX", 8);
	check_failure(*state, -EPROTO, "not an NBD server");
}

static void rule_2_wrong_second_magic_is_an_unknown_version(void **state)
{
	script_add(*state, SCRIPT_SEND, "NBDMAGICIHAVEOPX\0\3", 18);
	check_failure(*state, -EPROTO, "unknown");
}

static void other_protocols_are_named(void **state)
{
	static const struct {
		const char *greeting, *protocol;
	} others[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP" },
		{ "SSH-2.0-OpenSSH_9.2\r\n", "it speaks SSH" },
		{ "220 mail.example.com ESMTP\r\n", "it speaks SMTP" },
		{ "RFB 003.008\n", "it speaks VNC" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct script *script = script_new();

		script_add(script, SCRIPT_SEND, others[i].greeting, strlen(others[i].greeting));
		check_failure(script, -EPROTO, others[i].protocol);
		free(script);
	}
}

static void silent_server_times_out_with_a_question(void **state)
{
	script_add(*state, SCRIPT_STALL, NULL, 0);
	check_failure(*state, -ETIMEDOUT,
		"sent no NBD greeting within 0.1 s: is it an NBD server?");
}

static void server_that_closes_at_once_is_no_nbd_server(void **state)
{
	script_add(*state, SCRIPT_CLOSE, NULL, 0);
	check_failure(*state, -EPROTO, "closed the connection without an NBD greeting");
}

static void server_that_closes_inside_the_magic_is_no_nbd_server(void **state)
{
	script_add(*state, SCRIPT_SEND, "NBDM", 4);
	script_add(*state, SCRIPT_CLOSE, NULL, 0);
	check_failure(*state, -EPROTO, "closed the connection without an NBD greeting");
}

static void trickled_greeting_times_out(void **state)
{
	script_add(*state, SCRIPT_TRICKLE, "NBDMAGICIHAVEOPT\0\3", 18);
	check_failure(*state, -ETIMEDOUT, "");
}

static void no_socket_is_taken_before_an_export_is_chosen(void **state)
{
	struct nbdt_error err = { 0 };
	struct nbdt_client *client;
	struct peer *peer;

	script_greeting(*state);
	script_expect_abort(*state);
	assert_int_equal(adopt(*state, TIMEOUT, &peer, &client, NULL), 0);
	assert_int_equal(nbdt_client_take_socket(client, &err), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	scripted_client_close(client);
	assert_int_equal(peer_finish(peer), 0);
}

static void oldstyle_socket_can_be_taken_at_once_and_only_once(void **state)
{
	struct nbdt_client *client;
	struct peer *peer;

	script_oldstyle(*state, 4096, 1);
	assert_int_equal(adopt(*state, TIMEOUT, &peer, &client, NULL), 0);
	int fd = nbdt_client_take_socket(client, NULL);
	assert_true(fd >= 0);
	assert_int_equal(nbdt_client_take_socket(client, NULL), -EINVAL);
	scripted_client_close(client);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	assert_int_equal(peer_finish(peer), 0);
}

static void failed_adoption_closes_the_socket(void **state)
{
	struct nbdt_client *client;
	struct peer *peer;
	int fd;

	script_add(*state, SCRIPT_CLOSE, NULL, 0);
	peer = peer_start(*state, &fd);
	assert_int_equal(nbdt_client_adopt(fd, TIMEOUT, &client, NULL), -EPROTO);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	peer_finish(peer);
}

static void closing_nothing_is_fine(void **state)
{
	(void)state;
	nbdt_client_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_8_client_answers_flags_and_leaves_with_abort),
		TEST(rule_3_no_zeroes_is_sent_only_if_offered),
		TEST(rule_3_unknown_handshake_flags_are_ignored),
		TEST(rule_4_newstyle_that_is_not_fixed_gets_no_abort),
		TEST(rule_2_oldstyle_server_is_recognised_and_left_with_a_disconnect),
		TEST(rule_8_abort_needs_no_answer),
		TEST(rule_8_abort_does_not_wait_for_ever),
		TEST(server_that_left_is_closed_without_a_word),
		TEST(rule_2_wrong_first_magic_is_no_nbd_server),
		TEST(rule_2_wrong_second_magic_is_an_unknown_version),
		TEST(other_protocols_are_named),
		TEST(silent_server_times_out_with_a_question),
		TEST(server_that_closes_at_once_is_no_nbd_server),
		TEST(server_that_closes_inside_the_magic_is_no_nbd_server),
		TEST(trickled_greeting_times_out),
		TEST(no_socket_is_taken_before_an_export_is_chosen),
		TEST(oldstyle_socket_can_be_taken_at_once_and_only_once),
		TEST(failed_adoption_closes_the_socket),
		cmocka_unit_test(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
