/* SPDX-License-Identifier: Apache-2.0 */
/* NBD_OPT_LIST from the client's side. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "wire.h"

#define TIMEOUT 2000

/* A script that begins with the greeting and the question. */
static int set_up(void **state)
{
	struct script *script = script_new();

	script_greeting(script);
	script_expect_option(script, NBD_OPT_LIST, NULL, 0);
	*state = script;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

struct listing {
	char text[16384]; /* name=description; … */
	unsigned int count;
	int result;         /* to be returned */
	unsigned int pause; /* milliseconds */
};

static int add(const char *name, const char *description, void *arg)
{
	struct listing *listing = arg;
	size_t length = strlen(listing->text);

	listing->count++;
	if (listing->pause)
		poll(NULL, 0, (int)listing->pause);
	if (length < 12000)
		snprintf(listing->text + length, sizeof(listing->text) - length, "%s=%s;", name,
			description ? description : "NULL");
	return listing->result;
}

static int list(const struct script *script, struct listing *listing, struct nbdt_error *err)
{
	struct nbdt_client *client;
	int fd;
	struct peer *peer = peer_start(script, &fd);

	assert_int_equal(scripted_client_open(script, fd, TIMEOUT, &client, NULL), 0);
	int result = nbdt_client_list(client, add, listing, err);
	scripted_client_close(client);
	assert_int_equal(peer_finish(peer), 0);
	return result;
}

static void check_listing(const struct script *script, const char *text)
{
	struct listing listing = { .count = 0 };

	assert_int_equal(list(script, &listing, NULL), 0);
	assert_string_equal(listing.text, text);
}

/* Afterwards the client leaves as the script says: without a word, if that is at its end. */
static void check_failure(const struct script *script, int code, const char *word)
{
	struct listing listing = { .count = 0 };
	struct nbdt_error err = { 0 };

	assert_int_equal(list(script, &listing, &err), code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
}

static void rule_16_exports_are_listed_with_their_descriptions(void **state)
{
	script_listed(*state, "one", "the first");
	script_listed(*state, "", NULL);
	script_listed(*state, "three", "");
	script_ack(*state, NBD_OPT_LIST);
	script_expect_abort(*state);
	check_listing(*state, "one=the first;=NULL;three=NULL;");
}

static void empty_list_is_fine(void **state)
{
	script_ack(*state, NBD_OPT_LIST);
	script_expect_abort(*state);
	check_listing(*state, "");
}

static void names_come_as_the_server_sent_them(void **state)
{
	script_listed(*state, "a\n\033[31m\xff", "\xc2\x9b\r");
	script_ack(*state, NBD_OPT_LIST);
	script_expect_abort(*state);
	check_listing(*state, "a\n\033[31m\xff=\xc2\x9b\r;");
}

static void longest_name_and_description_are_taken(void **state)
{
	struct listing listing = { .count = 0 };
	char name[4097];

	memset(name, 'n', 4096);
	name[4096] = '\0';
	script_listed(*state, name, name);
	script_ack(*state, NBD_OPT_LIST);
	script_expect_abort(*state);
	assert_int_equal(list(*state, &listing, NULL), 0);
	assert_int_equal(strlen(listing.text), 2 * 4096 + 2);
}

static void rule_1_name_of_4097_bytes_breaks_the_protocol(void **state)
{
	char name[4098];

	memset(name, 'n', 4097);
	name[4097] = '\0';
	script_listed(*state, name, NULL);
	check_failure(*state, -EPROTO, "too long");
}

static void rule_1_description_of_4097_bytes_breaks_the_protocol(void **state)
{
	char name[4098];

	memset(name, 'n', 4097);
	name[4097] = '\0';
	script_listed(*state, "x", name);
	check_failure(*state, -EPROTO, "too long");
}

static void rule_1_nul_in_a_name_breaks_the_protocol(void **state)
{
	script_reply(*state, NBD_OPT_LIST, NBD_REP_SERVER, "\0\0\0\3a\0b", 7);
	check_failure(*state, -EPROTO, "NUL");
}

static void rule_16_name_longer_than_its_reply_breaks_the_protocol(void **state)
{
	script_reply(*state, NBD_OPT_LIST, NBD_REP_SERVER, "\0\0\0\4abc", 7);
	check_failure(*state, -EPROTO, "");
}

static void rule_16_reply_without_room_for_a_name_length_breaks_the_protocol(void **state)
{
	script_reply(*state, NBD_OPT_LIST, NBD_REP_SERVER, "\0\0\0", 3);
	check_failure(*state, -EPROTO, "");
}

static void rule_5_misplaced_reply_breaks_the_protocol(void **state)
{
	script_reply(*state, NBD_OPT_LIST, NBD_REP_INFO, "\0\0", 2);
	check_failure(*state, -EPROTO, "does not answer LIST");
}

static void refusal_is_told_with_the_server_s_words(void **state)
{
	script_reply(*state, NBD_OPT_LIST, NBD_REP_ERR_POLICY, "not \033[1mfor\n you", 17);
	script_expect_abort(*state);
	check_failure(*state, -EREMOTEIO,
		"the server refuses to list its exports: its policy forbids it: not ?[1mfor? you");
}

static void server_that_cannot_list_is_told_apart(void **state)
{
	script_reply(*state, NBD_OPT_LIST, NBD_REP_ERR_UNSUP, NULL, 0);
	script_expect_abort(*state);
	check_failure(*state, -EOPNOTSUPP, "LIST");
}

static void error_after_some_exports_is_an_error(void **state)
{
	script_listed(*state, "one", NULL);
	script_reply(*state, NBD_OPT_LIST, NBD_REP_ERR_SHUTDOWN, NULL, 0);
	script_expect_abort(*state);
	check_failure(*state, -EREMOTEIO, "shutting down");
}

static void unknown_error_is_an_error(void **state)
{
	script_reply(*state, NBD_OPT_LIST, NBD_REP_FLAG_ERROR | 12345, "words", 5);
	script_expect_abort(*state);
	check_failure(*state, -EREMOTEIO, "words");
}

static void callback_ends_the_call(void **state)
{
	struct listing listing = { .result = 77 };

	script_listed(*state, "one", NULL);
	script_listed(*state, "two", NULL);
	assert_int_equal(list(*state, &listing, NULL), 77);
	assert_int_equal(listing.count, 1);
}

static void list_can_be_asked_twice(void **state)
{
	struct listing listing = { .count = 0 };
	struct script *script = *state;
	struct nbdt_client *client;
	int fd;

	script_listed(script, "one", NULL);
	script_ack(script, NBD_OPT_LIST);
	script_expect_option(script, NBD_OPT_LIST, NULL, 0);
	script_listed(script, "two", NULL);
	script_ack(script, NBD_OPT_LIST);
	script_expect_abort(script);
	struct peer *peer = peer_start(script, &fd);
	assert_int_equal(scripted_client_open(script, fd, TIMEOUT, &client, NULL), 0);
	assert_int_equal(nbdt_client_list(client, add, &listing, NULL), 0);
	assert_int_equal(nbdt_client_list(client, add, &listing, NULL), 0);
	scripted_client_close(client);
	assert_int_equal(peer_finish(peer), 0);
	assert_string_equal(listing.text, "one=NULL;two=NULL;");
}

static void list_without_end_is_given_up(void **state)
{
	static const unsigned char reply[] = { 0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 3, 0,
		0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 1, 'x' };
	struct listing listing = { .count = 0 };
	struct nbdt_client *client;
	int fd;

	script_add(*state, SCRIPT_FLOOD, reply, sizeof(reply));
	struct peer *peer = peer_start(*state, &fd);
	assert_int_equal(scripted_client_open(*state, fd, 60000, &client, NULL), 0);
	assert_int_equal(nbdt_client_list(client, add, &listing, NULL), -E2BIG);
	assert_int_equal(listing.count, 100000);
	assert_int_equal(nbdt_client_list(client, add, &listing, NULL), -EINVAL);
	scripted_client_close(client);
	peer_finish(peer);
}

/* It never makes the client wait, so that no poll() ever times out. */
static void flood_ends_with_the_deadline(void **state)
{
	static const unsigned char reply[] = { 0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 3, 0,
		0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 1, 'x' };
	struct listing listing = { .pause = 5 };
	struct nbdt_client *client;
	int fd;

	script_add(*state, SCRIPT_FLOOD, reply, sizeof(reply));
	struct peer *peer = peer_start(*state, &fd);
	assert_int_equal(scripted_client_open(*state, fd, 500, &client, NULL), 0);
	assert_int_equal(nbdt_client_list(client, add, &listing, NULL), -ETIMEDOUT);
	scripted_client_close(client);
	peer_finish(peer);
}

static void old_servers_cannot_list(void **state)
{
	struct listing listing = { .count = 0 };
	struct script *script = script_new();

	(void)state;
	script_newstyle(script, 0, 0);
	assert_int_equal(list(script, &listing, NULL), -EOPNOTSUPP);
	free(script);
	script = script_new();
	script_oldstyle(script, 4096, 1);
	script_expect_disconnect(script);
	assert_int_equal(list(script, &listing, NULL), -EOPNOTSUPP);
	free(script);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_16_exports_are_listed_with_their_descriptions),
		TEST(empty_list_is_fine),
		TEST(names_come_as_the_server_sent_them),
		TEST(longest_name_and_description_are_taken),
		TEST(rule_1_name_of_4097_bytes_breaks_the_protocol),
		TEST(rule_1_description_of_4097_bytes_breaks_the_protocol),
		TEST(rule_1_nul_in_a_name_breaks_the_protocol),
		TEST(rule_16_name_longer_than_its_reply_breaks_the_protocol),
		TEST(rule_16_reply_without_room_for_a_name_length_breaks_the_protocol),
		TEST(rule_5_misplaced_reply_breaks_the_protocol),
		TEST(refusal_is_told_with_the_server_s_words),
		TEST(server_that_cannot_list_is_told_apart),
		TEST(error_after_some_exports_is_an_error),
		TEST(unknown_error_is_an_error),
		TEST(callback_ends_the_call),
		TEST(list_can_be_asked_twice),
		TEST(list_without_end_is_given_up),
		TEST(flood_ends_with_the_deadline),
		TEST(old_servers_cannot_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL)
	       + cmocka_run_group_tests_name(
		       "over TLS", tests, scripts_over_tls, scripts_in_the_clear);
}
