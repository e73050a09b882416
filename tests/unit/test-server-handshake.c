/* SPDX-License-Identifier: Apache-2.0 */
/* The server's handshake, rules 1 to 16 of the protocol and clients that break them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "scripted-client.h"
#include "wire.h"

#define FIXED (NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES)

struct fixture {
	struct memory_device first, second;
	struct nbdt_server *server;
	struct session session;
	int fd;
};

static void add_exports(struct fixture *fixture)
{
	memory_device_init(&fixture->first, MEMORY_SIZE);
	memory_device_init(&fixture->second, 2 * MEMORY_SIZE);
	assert_int_equal(nbdt_server_add_export(fixture->server, "one", "the first",
		&fixture->first.device, NULL), 0);
	assert_int_equal(nbdt_server_add_export(fixture->server, "two", NULL,
		&fixture->second.device, NULL), 0);
}

static int set_up_with_timeout(void **state, unsigned int timeout)
{
	const struct nbdt_server_options options = { .handshake_timeout = timeout };
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	nbdt_server_new(&options, &fixture->server, NULL);
	add_exports(fixture);
	session_open(&fixture->session, fixture->server, NULL);
	fixture->fd = fixture->session.fd;
	*state = fixture;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with_timeout(state, 0);
}

static int set_up_impatient(void **state)
{
	return set_up_with_timeout(state, 100);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	session_join(&fixture->session);
	nbdt_server_free(fixture->server);
	memory_device_destroy(&fixture->first);
	memory_device_destroy(&fixture->second);
	free(fixture);
	return 0;
}

/* Sends an option without data and returns the first reply's type. */
static uint32_t try_option(int fd, uint32_t option, const void *data, size_t length)
{
	char reply[8192];
	size_t reply_length;

	send_option(fd, option, data, length);
	return receive_option_reply(fd, option, reply, sizeof(reply), &reply_length);
}

static bool still_haggling(int fd)
{
	return try_option(fd, 0x7777, NULL, 0) == NBD_REP_ERR_UNSUP;
}

static void rule_03_server_offers_fixed_newstyle_and_no_zeroes(void **state)
{
	struct fixture *fixture = *state;
	unsigned char greeting[18];

	receive_bytes(fixture->fd, greeting, sizeof(greeting));
	assert_true(wire_get64(greeting) == NBD_MAGIC);
	assert_true(wire_get64(greeting + 8) == NBD_OPTS_MAGIC);
	assert_int_equal(wire_get16(greeting + 16), NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
}

static void rule_03_client_with_unknown_flag_is_dropped(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED | 4);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_11_export_name_reply_ends_with_zeroes(void **state)
{
	static const unsigned char zeroes[124];
	struct fixture *fixture = *state;
	struct nbd_export_name_reply reply;

	greet(fixture->fd, NBD_FLAG_C_FIXED_NEWSTYLE);
	send_option(fixture->fd, NBD_OPT_EXPORT_NAME, "two", 3);
	receive_bytes(fixture->fd, &reply, sizeof(reply));
	assert_int_equal(wire_get64(&reply.size), 2 * MEMORY_SIZE);
	assert_int_equal(wire_get16(&reply.flags), nbdt_device_flags(&fixture->second.device));
	assert_memory_equal(reply.zeroes, zeroes, sizeof(zeroes));
	assert_true(in_step(fixture->fd));
}

static void rule_11_export_name_reply_has_no_zeroes_if_agreed(void **state)
{
	struct fixture *fixture = *state;
	unsigned char reply[10];

	greet(fixture->fd, FIXED);
	send_option(fixture->fd, NBD_OPT_EXPORT_NAME, "two", 3);
	receive_bytes(fixture->fd, reply, sizeof(reply));
	assert_true(in_step(fixture->fd));
}

static void rule_09_export_name_of_unknown_export_hangs_up(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED);
	send_option(fixture->fd, NBD_OPT_EXPORT_NAME, "three", 5);
	assert_true(at_end(fixture->fd));
}

static void rule_04_newstyle_client_may_only_choose_by_name(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, 0);
	send_option(fixture->fd, NBD_OPT_LIST, NULL, 0);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_06_unknown_option_is_refused_in_step(void **state)
{
	static const uint32_t options[] = { 0, NBD_OPT_PEEK_EXPORT, NBD_OPT_STARTTLS, 12, 99,
		0xffffffff };
	struct fixture *fixture = *state;
	static unsigned char data[64 * 1024];

	greet(fixture->fd, FIXED);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		assert_int_equal(try_option(fixture->fd, options[i], NULL, 0), NBD_REP_ERR_UNSUP);
		assert_int_equal(try_option(fixture->fd, options[i], data, 1 + i * 8000),
			NBD_REP_ERR_UNSUP);
	}
	assert_int_equal(try_option(fixture->fd, 99, data, sizeof(data)), NBD_REP_ERR_UNSUP);
}

static void rule_08_abort_is_acknowledged_and_its_data_ignored(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED);
	assert_int_equal(try_option(fixture->fd, NBD_OPT_ABORT, "bye", 3), NBD_REP_ACK);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

static void rule_08_abort_bears_a_client_that_closed_already(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED);
	send_option(fixture->fd, NBD_OPT_ABORT, NULL, 0);
	assert_int_equal(session_join(&fixture->session), 0);
}

static void rule_16_list_names_every_export_and_its_description(void **state)
{
	struct fixture *fixture = *state;
	char reply[256];
	size_t length;

	greet(fixture->fd, FIXED);
	send_option(fixture->fd, NBD_OPT_LIST, NULL, 0);
	assert_int_equal(receive_option_reply(fixture->fd, NBD_OPT_LIST, reply, sizeof(reply),
		&length), NBD_REP_SERVER);
	assert_int_equal(length, 4 + 3 + strlen("the first"));
	assert_memory_equal(reply, "\0\0\0\3onethe first", length);
	assert_int_equal(receive_option_reply(fixture->fd, NBD_OPT_LIST, reply, sizeof(reply),
		&length), NBD_REP_SERVER);
	assert_int_equal(length, 4 + 3);
	assert_memory_equal(reply, "\0\0\0\3two", length);
	assert_int_equal(receive_option_reply(fixture->fd, NBD_OPT_LIST, reply, sizeof(reply),
		&length), NBD_REP_ACK);
	assert_int_equal(length, 0);
	assert_true(still_haggling(fixture->fd));
}

static void rule_16_list_with_data_is_invalid(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED);
	assert_int_equal(try_option(fixture->fd, NBD_OPT_LIST, "x", 1), NBD_REP_ERR_INVALID);
	assert_true(still_haggling(fixture->fd));
}

/* Collects the informations of one INFO or GO as they come, up to the ACK. */
static size_t collect(int fd, uint32_t option, unsigned char *data, size_t size)
{
	size_t total = 0;
	size_t length;

	while (receive_option_reply(fd, option, data + total, size - total, &length) ==
		NBD_REP_INFO) {
		assert_true(length >= 2);
		total += length;
	}
	assert_int_equal(length, 0);
	return total;
}

static void rule_14_info_and_go_tell_the_same(void **state)
{
	static const uint16_t wishes[] = { NBD_INFO_BLOCK_SIZE, NBD_INFO_NAME,
		NBD_INFO_DESCRIPTION };
	struct fixture *fixture = *state;
	unsigned char first[256], second[256];

	greet(fixture->fd, FIXED);
	send_information_option(fixture->fd, NBD_OPT_INFO, "one", wishes, 3);
	size_t length = collect(fixture->fd, NBD_OPT_INFO, first, sizeof(first));
	assert_int_equal(length, 12 + 14 + 2 + 3 + 2 + strlen("the first"));
	send_information_option(fixture->fd, NBD_OPT_GO, "one", wishes, 3);
	assert_int_equal(collect(fixture->fd, NBD_OPT_GO, second, sizeof(second)), length);
	assert_memory_equal(first, second, length);
	assert_true(in_step(fixture->fd));
}

static void rule_13_export_information_comes_unasked(void **state)
{
	struct fixture *fixture = *state;
	unsigned char data[256];

	greet(fixture->fd, NBD_FLAG_C_FIXED_NEWSTYLE);
	send_information_option(fixture->fd, NBD_OPT_GO, "two", NULL, 0);
	assert_int_equal(collect(fixture->fd, NBD_OPT_GO, data, sizeof(data)), 12);
	assert_int_equal(wire_get16(data), NBD_INFO_EXPORT);
	assert_int_equal(wire_get64(data + 2), 2 * MEMORY_SIZE);
	assert_int_equal(wire_get16(data + 10), nbdt_device_flags(&fixture->second.device));
	/* No 124 zeroes, although NO_ZEROES was not agreed. */
	assert_true(in_step(fixture->fd));
}

static void rule_12_unknown_information_is_ignored(void **state)
{
	static const uint16_t wishes[] = { 4, 0xffff, NBD_INFO_BLOCK_SIZE };
	struct fixture *fixture = *state;
	unsigned char data[256];

	greet(fixture->fd, FIXED);
	send_information_option(fixture->fd, NBD_OPT_INFO, "one", wishes, 3);
	assert_int_equal(collect(fixture->fd, NBD_OPT_INFO, data, sizeof(data)), 12 + 14);
	assert_int_equal(wire_get16(data + 12), NBD_INFO_BLOCK_SIZE);
	assert_int_equal(wire_get32(data + 14), 1);
	assert_int_equal(wire_get32(data + 18), 4096);
	assert_int_equal(wire_get32(data + 22), NBDT_MAX_PAYLOAD);
}

static void rule_12_go_whose_lengths_do_not_fit_is_invalid(void **state)
{
	static const struct {
		const char *data;
		size_t length;
	} cases[] = {
		{ "", 0 },
		{ "\0\0\0\0\0", 5 },
		{ "\0\0\0\3one", 7 },
		{ "\0\0\0\3one\0\1", 9 },
		{ "\0\0\0\3one\0\0\0", 10 },
		{ "\0\0\0\3one\0\0\0\1", 11 },
		{ "\0\0\0\4one\0\0", 9 },
		{ "\377\377\377\377one\0\0", 9 },
		{ "\177\377\377\377one\0\0", 9 },
		{ "\0\0\0\3one\377\377", 9 },
	};
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(try_option(fixture->fd, NBD_OPT_GO, cases[i].data,
			cases[i].length), NBD_REP_ERR_INVALID);
	assert_true(still_haggling(fixture->fd));
}

static void rule_01_name_over_4096_bytes_is_invalid(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char data[4 + 4097 + 2];

	wire_put32(data, 4097);
	memset(data + 4, 'n', 4097);
	greet(fixture->fd, FIXED);
	assert_int_equal(
		try_option(fixture->fd, NBD_OPT_GO, data, sizeof(data)), NBD_REP_ERR_INVALID);
	assert_true(still_haggling(fixture->fd));
}

static void rule_14_failed_go_leaves_haggling_open(void **state)
{
	struct fixture *fixture = *state;
	unsigned char data[256];
	size_t length;

	greet(fixture->fd, FIXED);
	send_information_option(fixture->fd, NBD_OPT_GO, "three", NULL, 0);
	assert_int_equal(receive_option_reply(fixture->fd, NBD_OPT_GO, data, sizeof(data), &length),
		NBD_REP_ERR_UNKNOWN);
	assert_true(length > 0);
	send_information_option(fixture->fd, NBD_OPT_GO, "one", NULL, 0);
	collect(fixture->fd, NBD_OPT_GO, data, sizeof(data));
	assert_true(in_step(fixture->fd));
}

static void rule_15_empty_name_is_the_first_export(void **state)
{
	struct fixture *fixture = *state;
	unsigned char data[256];

	greet(fixture->fd, FIXED);
	send_information_option(fixture->fd, NBD_OPT_INFO, "", NULL, 0);
	collect(fixture->fd, NBD_OPT_INFO, data, sizeof(data));
	assert_int_equal(wire_get64(data + 2), MEMORY_SIZE);
}

static void rule_15_empty_name_is_the_export_of_that_name(void **state)
{
	struct fixture *fixture = *state;
	unsigned char data[256];

	assert_int_equal(nbdt_server_add_export(fixture->server, "", NULL,
		&fixture->second.device, NULL), 0);
	greet(fixture->fd, FIXED);
	send_information_option(fixture->fd, NBD_OPT_INFO, "", NULL, 0);
	collect(fixture->fd, NBD_OPT_INFO, data, sizeof(data));
	assert_int_equal(wire_get64(data + 2), 2 * MEMORY_SIZE);
}

static void wrong_option_magic_hangs_up(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED);
	send_bytes(fixture->fd, "IHAVENOT\0\0\0\3\0\0\0\0", 16);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_06_option_over_1_mib_hangs_up(void **state)
{
	static const uint32_t lengths[] = { 1024 * 1024 + 1, 0x7fffffff, 0xffffffff };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct nbd_option_header header;
		struct session session;

		wire_put64(&header.magic, NBD_OPTS_MAGIC);
		wire_put32(&header.option, NBD_OPT_GO);
		wire_put32(&header.length, lengths[i]);
		session_open(&session, fixture->server, NULL);
		greet(session.fd, FIXED);
		send_bytes(session.fd, &header, sizeof(header));
		assert_true(at_end(session.fd));
		assert_int_equal(session_join(&session), -EPROTO);
	}
}

static void rule_06_option_over_64_kib_is_skipped_and_refused(void **state)
{
	static const size_t lengths[] = { 64 * 1024 + 1, 128 * 1024, 1024 * 1024 };
	struct fixture *fixture = *state;
	unsigned char *data = calloc(1, 1024 * 1024);

	greet(fixture->fd, FIXED);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		assert_int_equal(try_option(fixture->fd, NBD_OPT_SET_META_CONTEXT, data,
			lengths[i]), NBD_REP_ERR_TOO_BIG);
	assert_true(still_haggling(fixture->fd));
	free(data);
}

static void rule_06_flood_of_options_ends(void **state)
{
	struct fixture *fixture = *state;
	unsigned int answered = 0;
	struct nbd_option_header header;
	char reply[256];

	greet(fixture->fd, FIXED);
	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, NBD_OPT_STARTTLS);
	wire_put32(&header.length, 0);
	while (answered < 10000 && send(fixture->fd, &header, sizeof(header), MSG_NOSIGNAL) > 0 &&
		recv(fixture->fd, reply, sizeof(reply), 0) > 0)
		answered++;
	assert_in_range(answered, 100, 5000);
	assert_int_equal(session_join(&fixture->session), -EPROTO);
}

static void rule_06_slow_handshake_times_out(void **state)
{
	struct fixture *fixture = *state;
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	greet(fixture->fd, FIXED);
	/* A byte now and then does not help. */
	for (int i = 0; i < 50; i++) {
		if (send(fixture->fd, "I", 1, MSG_NOSIGNAL) < 0)
			break;
		nanosleep(&pause, NULL);
	}
	assert_int_equal(session_join(&fixture->session), -ETIMEDOUT);
}

static void rule_42_stop_ends_a_handshake_at_once(void **state)
{
	struct fixture *fixture = *state;

	greet(fixture->fd, FIXED);
	assert_true(still_haggling(fixture->fd));
	nbdt_server_stop(fixture->server);
	assert_true(at_end(fixture->fd));
	assert_int_equal(session_join(&fixture->session), 0);
}

/* What a client might send, cut off after each byte. */
static size_t whole_handshake(unsigned char *data)
{
	wire_put32(data, FIXED);
	memcpy(data + 4, "IHAVEOPT\0\0\0\3\0\0\0\0", 16);
	memcpy(data + 20, "IHAVEOPT\0\0\0\7\0\0\0\13\0\0\0\3one\0\1\0\3", 27);
	return 47;
}

static void close_at_any_byte_is_harmless(void **state)
{
	struct fixture *fixture = *state;
	unsigned char data[64];
	size_t length = whole_handshake(data);

	for (size_t cut = 0; cut <= length; cut++) {
		struct session session;

		session_open(&session, fixture->server, NULL);
		send_bytes(session.fd, data, cut);
		int result = session_join(&session);
		assert_true(result == 0 || result == -ECONNRESET);
	}
}

static void hundreds_of_silent_clients_do_not_hinder_one_that_speaks(void **state)
{
	struct fixture *fixture = *state;
	struct session *silent = calloc(200, sizeof(*silent));
	unsigned char data[256];

	for (int i = 0; i < 200; i++)
		session_open(&silent[i], fixture->server, NULL);
	greet(fixture->fd, FIXED);
	send_information_option(fixture->fd, NBD_OPT_GO, "one", NULL, 0);
	collect(fixture->fd, NBD_OPT_GO, data, sizeof(data));
	assert_true(in_step(fixture->fd));
	for (int i = 0; i < 200; i++)
		session_join(&silent[i]);
	free(silent);
}

static void rule_01_export_name_must_be_unique_and_utf8(void **state)
{
	static const char *const bad[] = { "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"cut \xe2\x82", "\x80" };
	struct fixture *fixture = *state;
	struct nbdt_device *device = &fixture->first.device;
	struct nbdt_server *server = fixture->server;
	struct nbdt_error err;
	char *name = calloc(1, NBDT_MAX_STRING + 2);

	assert_int_equal(nbdt_server_add_export(server, "one", NULL, device, &err), -EEXIST);
	assert_non_null(strstr(err.text, "one"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			nbdt_server_add_export(server, bad[i], NULL, device, NULL), -EINVAL);
	memset(name, 'n', NBDT_MAX_STRING + 1);
	assert_int_equal(nbdt_server_add_export(server, name, NULL, device, NULL), -EINVAL);
	name[NBDT_MAX_STRING] = '\0';
	assert_int_equal(nbdt_server_add_export(server, name, name, device, NULL), 0);
	assert_int_equal(nbdt_server_add_export(
		server, "\xe2\x82\xac \xf0\x9f\x92\xbe", NULL, device, NULL), 0);
	free(name);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_03_server_offers_fixed_newstyle_and_no_zeroes),
		TEST(rule_03_client_with_unknown_flag_is_dropped),
		TEST(rule_11_export_name_reply_ends_with_zeroes),
		TEST(rule_11_export_name_reply_has_no_zeroes_if_agreed),
		TEST(rule_09_export_name_of_unknown_export_hangs_up),
		TEST(rule_04_newstyle_client_may_only_choose_by_name),
		TEST(rule_06_unknown_option_is_refused_in_step),
		TEST(rule_08_abort_is_acknowledged_and_its_data_ignored),
		TEST(rule_08_abort_bears_a_client_that_closed_already),
		TEST(rule_16_list_names_every_export_and_its_description),
		TEST(rule_16_list_with_data_is_invalid),
		TEST(rule_14_info_and_go_tell_the_same),
		TEST(rule_13_export_information_comes_unasked),
		TEST(rule_12_unknown_information_is_ignored),
		TEST(rule_12_go_whose_lengths_do_not_fit_is_invalid),
		TEST(rule_01_name_over_4096_bytes_is_invalid),
		TEST(rule_14_failed_go_leaves_haggling_open),
		TEST(rule_15_empty_name_is_the_first_export),
		TEST(rule_15_empty_name_is_the_export_of_that_name),
		TEST(wrong_option_magic_hangs_up),
		TEST(rule_06_option_over_64_kib_is_skipped_and_refused),
		TEST(rule_06_option_over_1_mib_hangs_up),
		TEST(rule_06_flood_of_options_ends),
		cmocka_unit_test_setup_teardown(
			rule_06_slow_handshake_times_out, set_up_impatient, tear_down),
		TEST(rule_42_stop_ends_a_handshake_at_once),
		TEST(close_at_any_byte_is_harmless),
		TEST(hundreds_of_silent_clients_do_not_hinder_one_that_speaks),
		TEST(rule_01_export_name_must_be_unique_and_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
