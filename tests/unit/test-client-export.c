/* SPDX-License-Identifier: Apache-2.0 */
/* NBD_OPT_INFO, NBD_OPT_GO and NBD_OPT_EXPORT_NAME from the client's side. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbdtools.h"
#include "scripted-peer.h"
#include "wire.h"

#define TIMEOUT 2000
#define FLAGS (NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH)

struct fixture {
	struct script *script;
	struct nbdt_client *client;
	struct nbdt_export export;
	struct nbdt_error err;
	struct peer *peer;
};

/* A script that begins with the greeting. */
static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->script = script_new();
	script_greeting(fixture->script);
	*state = fixture;
	return 0;
}

static int set_up_empty(void **state)
{
	int result = set_up(state);

	((struct fixture *)*state)->script->count = 0;
	return result;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	nbdt_export_clear(&fixture->export);
	free(fixture->script);
	free(fixture);
	return 0;
}

static void start(struct fixture *fixture)
{
	int fd;

	fixture->peer = peer_start(fixture->script, &fd);
	assert_int_equal(nbdt_client_adopt(fd, TIMEOUT, &fixture->client, NULL), 0);
}

static int ask(struct fixture *fixture, uint32_t option, const char *name)
{
	nbdt_export_clear(&fixture->export);
	return option == NBD_OPT_INFO
		       ? nbdt_client_info(
				 fixture->client, name, &fixture->export, &fixture->err)
		       : nbdt_client_go(fixture->client, name, &fixture->export, &fixture->err);
}

static void finish(struct fixture *fixture)
{
	nbdt_client_close(fixture->client);
	assert_int_equal(peer_finish(fixture->peer), 0);
}

static void check_error(struct fixture *fixture, int code, const char *word)
{
	assert_int_equal(fixture->err.code, code);
	if (!strstr(fixture->err.text, word))
		fail_msg("'%s' does not say '%s'", fixture->err.text, word);
	assert_null(fixture->export.name);
	assert_null(fixture->export.description);
}

static void check_failure(
	struct fixture *fixture, uint32_t option, const char *name, int code, const char *word)
{
	start(fixture);
	assert_int_equal(ask(fixture, option, name), code);
	check_error(fixture, code, word);
	finish(fixture);
}

static void info_tells_all_and_leaves_haggling_open(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_INFO, "disk");
	script_info_text(script, NBD_OPT_INFO, NBD_INFO_DESCRIPTION, "a disk");
	script_info_block_size(script, NBD_OPT_INFO, 512, 4096, 1 << 20);
	script_info_export(script, NBD_OPT_INFO, 12345678, FLAGS);
	script_ack(script, NBD_OPT_INFO);
	script_expect_abort(script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_INFO, "disk"), 0);
	assert_string_equal(fixture->export.name, "disk");
	assert_string_equal(fixture->export.description, "a disk");
	assert_int_equal(fixture->export.size, 12345678);
	assert_int_equal(fixture->export.flags, FLAGS);
	assert_true(fixture->export.has_block_sizes);
	assert_int_equal(fixture->export.block_minimum, 512);
	assert_int_equal(fixture->export.block_preferred, 4096);
	assert_int_equal(fixture->export.block_maximum, 1 << 20);
	assert_int_equal(nbdt_client_take_socket(fixture->client, NULL), -EINVAL);
	finish(fixture);
}

static void go_enters_transmission_and_leaves_with_a_disconnect(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "disk");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FLAGS);
	script_ack(fixture->script, NBD_OPT_GO);
	script_expect_disconnect(fixture->script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "disk"), 0);
	assert_int_equal(fixture->export.size, 4096);
	assert_null(fixture->export.description);
	assert_false(fixture->export.has_block_sizes);
	assert_int_equal(fixture->export.block_minimum, 1);
	assert_int_equal(fixture->export.block_preferred, 4096);
	assert_int_equal(fixture->export.block_maximum, NBDT_MAX_PAYLOAD);
	finish(fixture);
}

/* What the server says next is for whoever has the socket. */
static void taken_socket_has_every_byte_after_the_acknowledgement(void **state)
{
	struct fixture *fixture = *state;
	char bytes[4];

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FLAGS);
	script_ack(fixture->script, NBD_OPT_GO);
	script_add(fixture->script, SCRIPT_SEND, "next", 4);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, ""), 0);
	int fd = nbdt_client_take_socket(fixture->client, NULL);
	assert_int_equal(read(fd, bytes, 4), 4);
	assert_memory_equal(bytes, "next", 4);
	nbdt_client_close(fixture->client);
	close(fd);
	assert_int_equal(peer_finish(fixture->peer), 0);
}

static void info_and_then_go_on_one_connection(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t option = NBD_OPT_INFO; option <= NBD_OPT_GO; option++) {
		script_expect_inquiry(fixture->script, option, "x");
		script_info_export(fixture->script, option, 4096, FLAGS);
		script_ack(fixture->script, option);
	}
	script_expect_disconnect(fixture->script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_INFO, "x"), 0);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "x"), 0);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "x"), -EINVAL);
	finish(fixture);
}

static void unknown_informations_are_ignored(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;
	char *large = calloc(1, 60000);

	large[0] = 0x7f;
	script_expect_inquiry(script, NBD_OPT_GO, "x");
	script_info_text(script, NBD_OPT_GO, 0x1234, "something new");
	script_info_text(script, NBD_OPT_GO, 0x1235, "");
	script_info_text(script, NBD_OPT_GO, NBD_INFO_NAME, "real name");
	script_reply(script, NBD_OPT_GO, NBD_REP_INFO, large, 60000);
	script_info_export(script, NBD_OPT_GO, 4096, FLAGS);
	script_ack(script, NBD_OPT_GO);
	script_expect_disconnect(script);
	free(large);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "x"), 0);
	assert_string_equal(fixture->export.name, "x");
	finish(fixture);
}

static void repeated_informations_are_fine(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_GO, "x");
	for (int i = 0; i < 2; i++) {
		script_info_export(script, NBD_OPT_GO, 4096, FLAGS);
		script_info_text(script, NBD_OPT_GO, NBD_INFO_DESCRIPTION, "said twice");
	}
	script_ack(script, NBD_OPT_GO);
	script_expect_disconnect(script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "x"), 0);
	assert_string_equal(fixture->export.description, "said twice");
	finish(fixture);
}

static void contradicting_sizes_break_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FLAGS);
	script_info_export(fixture->script, NBD_OPT_GO, 8192, FLAGS);
	check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "contradicts");
}

static void acknowledgement_without_size_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_block_size(fixture->script, NBD_OPT_GO, 1, 4096, 1 << 20);
	script_ack(fixture->script, NBD_OPT_GO);
	check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "without telling its size");
}

static void acknowledgement_with_data_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_export(fixture->script, NBD_OPT_GO, 4096, FLAGS);
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ACK, "x", 1);
	check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "with data");
}

static void reply_to_another_option_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_export(fixture->script, NBD_OPT_INFO, 4096, FLAGS);
	check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "it answered option 6");
}

static void reply_with_a_wrong_magic_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_add(fixture->script, SCRIPT_SEND, "IHAVEOPT\0\0\0\7\0\0\0\1\0\0\0\0", 20);
	check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "wrong magic");
}

static void misplaced_reply_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_INFO, "x");
	script_reply(fixture->script, NBD_OPT_INFO, NBD_REP_SERVER, "\0\0\0\0", 4);
	check_failure(fixture, NBD_OPT_INFO, "x", -EPROTO, "does not answer INFO");
}

static void informations_of_wrong_lengths_break_the_protocol(void **state)
{
	static const struct {
		const char *data;
		size_t length;
	} wrong[] = {
		{ "", 0 },
		{ "\0", 1 },
		{ "\0\0", 2 },
		{ "\0\0\0\0\0\0\0\0\20\0\0", 11 },
		{ "\0\0\0\0\0\0\0\0\20\0\0\1\0", 13 },
		{ "\0\3\0\0\2\0\0\0\20\0\0\20\0", 13 },
		{ "\0\3\0\0\2\0\0\0\20\0\0\20\0\0\0", 15 },
		{ "\0\2a\0b", 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		void *each;

		set_up(&each);
		struct fixture *fixture = each;
		script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
		script_reply(fixture->script, NBD_OPT_GO, NBD_REP_INFO, wrong[i].data,
			wrong[i].length);
		check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "broke the protocol");
		tear_down(&each);
	}
}

static void description_of_4097_bytes_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;
	char text[4098];

	memset(text, 'x', 4097);
	text[4097] = '\0';
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_info_text(fixture->script, NBD_OPT_GO, NBD_INFO_DESCRIPTION, text);
	check_failure(fixture, NBD_OPT_GO, "x", -EPROTO, "too long");
}

static void informations_without_end_are_given_up(void **state)
{
	static const unsigned char reply[] = { 0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 7, 0,
		0, 0, 3, 0, 0, 0, 2, 0, 9 };
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_add(fixture->script, SCRIPT_FLOOD, reply, sizeof(reply));
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "x"), -EPROTO);
	check_error(fixture, -EPROTO, "without end");
	nbdt_client_close(fixture->client);
	peer_finish(fixture->peer);
}

static void unknown_export_is_named_and_haggling_goes_on(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_GO, "no\nsuch");
	script_reply(script, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, "never heard of", 14);
	script_expect_inquiry(script, NBD_OPT_GO, "");
	script_info_export(script, NBD_OPT_GO, 4096, FLAGS);
	script_reply(script, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, NULL, 0);
	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_info_export(script, NBD_OPT_GO, 8192, FLAGS);
	script_ack(script, NBD_OPT_GO);
	script_expect_disconnect(script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "no\nsuch"), -ENXIO);
	check_error(fixture, -ENXIO, "the server has no export 'no?such'");
	assert_int_equal(ask(fixture, NBD_OPT_GO, ""), -ENXIO);
	check_error(fixture, -ENXIO, "no default export");
	assert_int_equal(ask(fixture, NBD_OPT_GO, "disk"), 0);
	assert_int_equal(fixture->export.size, 8192);
	finish(fixture);
}

static void refusals_are_explained_with_the_server_s_words(void **state)
{
	static const struct {
		uint32_t reply;
		const char *text, *word;
	} refusals[] = {
		{ NBD_REP_ERR_TLS_REQD, "TLS!",
			"the server requires TLS, which this version does not speak" },
		{ NBD_REP_ERR_POLICY, "ask \033]0;x\007 Bob", "forbids it: ask ?]0;x? Bob" },
		{ NBD_REP_ERR_POLICY, "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ NBD_REP_ERR_POLICY, "gr\xfc\x9b", "gr??" },
		{ NBD_REP_ERR_POLICY, "", "refuses the export 'x': its policy forbids it" },
		{ NBD_REP_ERR_INVALID, "hm", "invalid: hm" },
		{ NBD_REP_ERR_PLATFORM, "", "platform" },
		{ NBD_REP_ERR_SHUTDOWN, "", "shutting down" },
		{ NBD_REP_ERR_BLOCK_SIZE_REQD, "4k", "block sizes" },
		{ NBD_REP_ERR_TOO_BIG, "", "too large" },
		{ NBD_REP_ERR_EXT_HEADER_REQD, "ext", "ext" },
		{ UINT32_MAX, "new", "new" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		void *each;

		set_up(&each);
		struct fixture *fixture = each;
		script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
		script_reply(fixture->script, NBD_OPT_GO, refusals[i].reply, refusals[i].text,
			strlen(refusals[i].text));
		script_expect_abort(fixture->script);
		check_failure(fixture, NBD_OPT_GO, "x", -EREMOTEIO, refusals[i].word);
		tear_down(&each);
	}
}

/* One that is cut inside a character, and one that is longer than what is kept. */
static void long_error_texts_are_cut(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(60000);

	for (size_t i = 0; i < 30000; i++)
		memcpy(text + 2 * i, "\xc3\xa9", 2);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_POLICY, text, 4000);
	script_expect_inquiry(fixture->script, NBD_OPT_GO, "x");
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_POLICY, text, 60000);
	script_expect_abort(fixture->script);
	free(text);
	start(fixture);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(fixture, NBD_OPT_GO, "x"), -EREMOTEIO);
		check_error(fixture, -EREMOTEIO, ": \xc3\xa9\xc3\xa9");
		assert_null(strchr(fixture->err.text, '?'));
		assert_int_equal(strlen(strstr(fixture->err.text, "\xc3\xa9")), 160);
	}
	finish(fixture);
}

static void unsupported_go_falls_back_to_export_name(void **state)
{
	static const unsigned char told[10] = { 0, 0, 0, 0, 0, 0, 0x20, 0, 0, FLAGS };
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_expect_inquiry(script, NBD_OPT_GO, "disk");
	script_reply(script, NBD_OPT_GO, NBD_REP_ERR_UNSUP, NULL, 0);
	script_expect_option(script, NBD_OPT_EXPORT_NAME, "disk", 4);
	script_add(script, SCRIPT_SEND, told, sizeof(told));
	script_expect_disconnect(script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "disk"), 0);
	assert_string_equal(fixture->export.name, "disk");
	assert_int_equal(fixture->export.size, 8192);
	assert_int_equal(fixture->export.flags, FLAGS);
	assert_false(fixture->export.has_block_sizes);
	finish(fixture);
}

static void unsupported_info_does_not_commit(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_INFO, "disk");
	script_reply(fixture->script, NBD_OPT_INFO, NBD_REP_ERR_UNSUP, NULL, 0);
	script_expect_abort(fixture->script);
	check_failure(fixture, NBD_OPT_INFO, "disk", -EOPNOTSUPP, "INFO");
}

static void hangup_after_export_name_means_no_such_export(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	script_newstyle(script, 0, 0);
	script_expect_option(script, NBD_OPT_EXPORT_NAME, "disk", 4);
	script_add(script, SCRIPT_CLOSE, NULL, 0);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "disk"), -ENXIO);
	check_error(fixture, -ENXIO, "'disk'");
	assert_int_equal(ask(fixture, NBD_OPT_GO, "disk"), -EINVAL);
	finish(fixture);
}

/* Without NO_ZEROES 124 bytes follow, which belong to no request. */
static void zeroes_after_export_name_are_read(void **state)
{
	static const unsigned char told[10 + 124] = { 0, 0, 0, 0, 0, 0, 0x20, 0, 0, FLAGS };
	struct fixture *fixture = *state;
	struct script *script = fixture->script;
	char bytes[4];

	script_newstyle(script, 0, 0);
	script_expect_option(script, NBD_OPT_EXPORT_NAME, "", 0);
	script_add(script, SCRIPT_SEND, told, sizeof(told));
	script_add(script, SCRIPT_SEND, "next", 4);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_INFO, ""), -EOPNOTSUPP);
	assert_int_equal(ask(fixture, NBD_OPT_GO, ""), 0);
	int fd = nbdt_client_take_socket(fixture->client, NULL);
	assert_int_equal(read(fd, bytes, 4), 4);
	assert_memory_equal(bytes, "next", 4);
	nbdt_client_close(fixture->client);
	close(fd);
	assert_int_equal(peer_finish(fixture->peer), 0);
}

static void oldstyle_export_is_the_default_one_alone(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, 1 << 20, 0xffff0003);
	script_expect_disconnect(fixture->script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_INFO, ""), -EOPNOTSUPP);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "disk"), -ENXIO);
	check_error(fixture, -ENXIO, "oldstyle");
	assert_int_equal(ask(fixture, NBD_OPT_GO, ""), 0);
	assert_int_equal(fixture->export.size, 1 << 20);
	assert_int_equal(fixture->export.flags, NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY);
	assert_string_equal(fixture->export.name, "");
	finish(fixture);
}

static void oldstyle_server_from_before_the_flags_has_none(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, 1 << 20, 0);
	script_expect_disconnect(fixture->script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, ""), 0);
	assert_int_equal(fixture->export.flags, 0);
	finish(fixture);
}

static void oldstyle_size_over_2_to_63_is_refused(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, UINT64_MAX, 1);
	script_expect_disconnect(fixture->script);
	check_failure(fixture, NBD_OPT_GO, "", -EPROTO, "2^63");
}

struct facts {
	uint64_t size;
	uint16_t flags;
	bool blocks;
	uint32_t minimum, preferred, maximum;
	uint32_t rounded; /* the maximum that is reported; 0: all of it is refused */
};

static void script_facts(struct script *script, uint32_t option, const struct facts *facts)
{
	script_expect_inquiry(script, option, "x");
	script_info_export(script, option, facts->size, facts->flags);
	if (facts->blocks)
		script_info_block_size(
			script, option, facts->minimum, facts->preferred, facts->maximum);
	script_ack(script, option);
}

/* INFO leaves haggling open whatever it says; GO does not, and so a refusal says goodbye. */
static void check_facts(const struct facts *facts)
{
	int result = facts->rounded ? 0 : -EPROTO;
	void *state;

	set_up(&state);
	struct fixture *fixture = state;
	script_facts(fixture->script, NBD_OPT_INFO, facts);
	script_facts(fixture->script, NBD_OPT_GO, facts);
	script_expect_disconnect(fixture->script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_INFO, "x"), result);
	assert_int_equal(fixture->export.block_maximum, facts->rounded);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "x"), result);
	assert_int_equal(fixture->export.block_maximum, facts->rounded);
	assert_int_equal(fixture->export.size, result ? 0 : facts->size);
	if (result) {
		check_error(fixture, -EPROTO, "the server announces");
		assert_int_equal(nbdt_client_take_socket(fixture->client, NULL), -EINVAL);
	}
	finish(fixture);
	tear_down(&state);
}

static void sizes_and_flags_are_checked(void **state)
{
	static const struct facts cases[] = {
		{ 0, FLAGS, .rounded = NBDT_MAX_PAYLOAD },
		{ 1, FLAGS, .rounded = NBDT_MAX_PAYLOAD },
		{ INT64_MAX, FLAGS, .rounded = NBDT_MAX_PAYLOAD },
		{ UINT64_C(1) << 63, FLAGS, .rounded = 0 },
		{ UINT64_MAX, FLAGS, .rounded = 0 },
		{ 4096, 0, .rounded = 0 },
		{ 4096, NBD_FLAG_SEND_FLUSH, .rounded = 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_facts(&cases[i]);
}

static void block_sizes_are_checked(void **state)
{
	static const uint32_t cases[][4] = {
		{ 1, 512, 512, 512 },
		{ 1, 4096, UINT32_MAX, UINT32_MAX },
		{ 512, 4096, 1 << 20, 1 << 20 },
		{ 512, 4096, (1 << 20) + 511, 1 << 20 },
		{ 4096, 4096, UINT32_MAX, UINT32_MAX - 4095 },
		{ 65536, 65536, 65536, 65536 },
		{ 0, 4096, 1 << 20, 0 },
		{ 3, 4096, 1 << 20, 0 },
		{ 131072, 131072, 1 << 20, 0 },
		{ UINT32_MAX, UINT32_MAX, UINT32_MAX, 0 },
		{ 1, 0, 1 << 20, 0 },
		{ 1, 256, 1 << 20, 0 },
		{ 1, 4097, 1 << 20, 0 },
		{ 8192, 4096, 1 << 20, 0 },
		{ 512, 4096, 2048, 0 },
		{ 512, 4096, 4095, 0 },
		{ 1, 4096, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct facts facts = { 1 << 30, FLAGS, true, cases[i][0], cases[i][1],
			cases[i][2], cases[i][3] };

		check_facts(&facts);
	}
}

static void unknown_transmission_flags_are_ignored(void **state)
{
	struct fixture *fixture = *state;

	script_expect_inquiry(fixture->script, NBD_OPT_INFO, "x");
	script_info_export(fixture->script, NBD_OPT_INFO, 4096, 0xffff);
	script_ack(fixture->script, NBD_OPT_INFO);
	script_expect_abort(fixture->script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_INFO, "x"), 0);
	assert_int_equal(fixture->export.flags, 0x0dff);
	finish(fixture);
}

static void names_that_nbd_does_not_allow_are_not_sent(void **state)
{
	struct fixture *fixture = *state;
	char name[4098];

	memset(name, 'x', 4097);
	name[4097] = '\0';
	script_expect_abort(fixture->script);
	start(fixture);
	assert_int_equal(ask(fixture, NBD_OPT_GO, name), -EINVAL);
	assert_int_equal(ask(fixture, NBD_OPT_INFO, name), -EINVAL);
	assert_int_equal(ask(fixture, NBD_OPT_GO, "\xff"), -EINVAL);
	finish(fixture);
}

static void longest_name_is_sent_whole(void **state)
{
	struct fixture *fixture = *state;
	char name[4097];

	memset(name, 'x', 4096);
	name[4096] = '\0';
	script_expect_inquiry(fixture->script, NBD_OPT_GO, name);
	script_reply(fixture->script, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, NULL, 0);
	script_expect_abort(fixture->script);
	check_failure(fixture, NBD_OPT_GO, name, -ENXIO, "xxx'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_OTHER_GREETING(name) cmocka_unit_test_setup_teardown(name, set_up_empty, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(info_tells_all_and_leaves_haggling_open),
		TEST(go_enters_transmission_and_leaves_with_a_disconnect),
		TEST(taken_socket_has_every_byte_after_the_acknowledgement),
		TEST(info_and_then_go_on_one_connection),
		TEST(unknown_informations_are_ignored),
		TEST(repeated_informations_are_fine),
		TEST(contradicting_sizes_break_the_protocol),
		TEST(acknowledgement_without_size_breaks_the_protocol),
		TEST(acknowledgement_with_data_breaks_the_protocol),
		TEST(reply_to_another_option_breaks_the_protocol),
		TEST(reply_with_a_wrong_magic_breaks_the_protocol),
		TEST(misplaced_reply_breaks_the_protocol),
		cmocka_unit_test(informations_of_wrong_lengths_break_the_protocol),
		TEST(description_of_4097_bytes_breaks_the_protocol),
		TEST(informations_without_end_are_given_up),
		TEST(unknown_export_is_named_and_haggling_goes_on),
		cmocka_unit_test(refusals_are_explained_with_the_server_s_words),
		TEST(long_error_texts_are_cut),
		TEST(unsupported_go_falls_back_to_export_name),
		TEST(unsupported_info_does_not_commit),
		TEST_OTHER_GREETING(hangup_after_export_name_means_no_such_export),
		TEST_OTHER_GREETING(zeroes_after_export_name_are_read),
		TEST_OTHER_GREETING(oldstyle_export_is_the_default_one_alone),
		TEST_OTHER_GREETING(oldstyle_server_from_before_the_flags_has_none),
		TEST_OTHER_GREETING(oldstyle_size_over_2_to_63_is_refused),
		cmocka_unit_test(sizes_and_flags_are_checked),
		cmocka_unit_test(block_sizes_are_checked),
		TEST(unknown_transmission_flags_are_ignored),
		TEST(names_that_nbd_does_not_allow_are_not_sent),
		TEST(longest_name_is_sent_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
