/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the transmission phase as they lie on the wire, in all three shapes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

#define SIZE (64u * 1024 * 1024)

/* The whole conversation after GO, as bytes, and what the client does meanwhile. */
struct exchange {
	enum command command;
	uint64_t offset, length;
	unsigned int flags;
	const char *request;
	size_t request_length;
	const char *reply;
	size_t reply_length;
};

#define BYTES(text) (text), sizeof(text) - 1

static void check_exchanges(
	struct fixture *fixture, const struct exchange *exchanges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		script_add(fixture->script, SCRIPT_EXPECT, exchanges[i].request,
			exchanges[i].request_length);
		script_add(fixture->script, SCRIPT_SEND, exchanges[i].reply,
			exchanges[i].reply_length);
	}
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, fixture->script->replies ? "base:allocation" : NULL);
	for (size_t i = 0; i < count; i++)
		if (fixture_issue(fixture, exchanges[i].command, exchanges[i].offset,
			    exchanges[i].length, exchanges[i].flags))
			fail_msg("exchange %zu: %s", i, fixture->err.text);
	fixture_finish(fixture);
}

static void compact_requests_byte_by_byte(void **state)
{
	static const struct exchange exchanges[] = {
		{ PREAD, 0x1234, 4, 0,
			BYTES("\x25\x60\x95\x13" "\0\0" "\0\0" "\0\0\0\0\0\0\0\1"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\4"),
			BYTES("\x67\x44\x66\x98" "\0\0\0\0" "\0\0\0\0\0\0\0\1" "data") },
		{ PWRITE, 0x1000000, 3, NBDT_CMD_FLAG_FUA,
			BYTES("\x25\x60\x95\x13" "\0\1" "\0\1" "\0\0\0\0\0\0\0\2"
			      "\0\0\0\0\1\0\0\0" "\0\0\0\3" "www"),
			BYTES("\x67\x44\x66\x98" "\0\0\0\0" "\0\0\0\0\0\0\0\2") },
		{ FLUSH, 0, 0, 0,
			BYTES("\x25\x60\x95\x13" "\0\0" "\0\3" "\0\0\0\0\0\0\0\3"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\0"),
			BYTES("\x67\x44\x66\x98" "\0\0\0\0" "\0\0\0\0\0\0\0\3") },
		{ TRIM, 1, 0x2000000, NBDT_CMD_FLAG_FUA,
			BYTES("\x25\x60\x95\x13" "\0\1" "\0\4" "\0\0\0\0\0\0\0\4"
			      "\0\0\0\0\0\0\0\1" "\2\0\0\0"),
			BYTES("\x67\x44\x66\x98" "\0\0\0\0" "\0\0\0\0\0\0\0\4") },
		{ CACHE, 0, 512, 0,
			BYTES("\x25\x60\x95\x13" "\0\0" "\0\5" "\0\0\0\0\0\0\0\5"
			      "\0\0\0\0\0\0\0\0" "\0\0\2\0"),
			BYTES("\x67\x44\x66\x98" "\0\0\0\0" "\0\0\0\0\0\0\0\5") },
		{ ZERO, 0, 1, NBDT_CMD_FLAG_FUA | NBDT_CMD_FLAG_NO_HOLE | NBDT_CMD_FLAG_FAST_ZERO,
			BYTES("\x25\x60\x95\x13" "\0\x13" "\0\6" "\0\0\0\0\0\0\0\6"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\1"),
			BYTES("\x67\x44\x66\x98" "\0\0\0\0" "\0\0\0\0\0\0\0\6") },
	};
	struct fixture *fixture = *state;

	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	check_exchanges(fixture, exchanges, sizeof(exchanges) / sizeof(exchanges[0]));
}

static void structured_replies_byte_by_byte(void **state)
{
	static const struct exchange exchanges[] = {
		{ PREAD, 0x1234, 4, NBDT_CMD_FLAG_DF,
			BYTES("\x25\x60\x95\x13" "\0\4" "\0\0" "\0\0\0\0\0\0\0\1"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\4"),
			BYTES("\x66\x8e\x33\xef" "\0\1" "\0\1" "\0\0\0\0\0\0\0\1" "\0\0\0\x0c"
			      "\0\0\0\0\0\0\x12\x34" "data") },
		{ PREAD, 0x1234, 4, 0,
			BYTES("\x25\x60\x95\x13" "\0\0" "\0\0" "\0\0\0\0\0\0\0\2"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\4"),
			BYTES("\x66\x8e\x33\xef" "\0\1" "\0\2" "\0\0\0\0\0\0\0\2" "\0\0\0\x0c"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\4") },
		{ STATUS, 0, 0x2000, NBDT_CMD_FLAG_REQ_ONE,
			BYTES("\x25\x60\x95\x13" "\0\x8" "\0\7" "\0\0\0\0\0\0\0\3"
			      "\0\0\0\0\0\0\0\0" "\0\0\x20\0"),
			BYTES("\x66\x8e\x33\xef" "\0\1" "\0\5" "\0\0\0\0\0\0\0\3" "\0\0\0\x0c"
			      "\0\0\0\x09" "\0\0\x10\0" "\0\0\0\3") },
		{ FLUSH, 0, 0, 0,
			BYTES("\x25\x60\x95\x13" "\0\0" "\0\3" "\0\0\0\0\0\0\0\4"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\0"),
			BYTES("\x66\x8e\x33\xef" "\0\1" "\0\0" "\0\0\0\0\0\0\0\4" "\0\0\0\0") },
		/* What has no content may be answered simply. */
		{ CACHE, 0, 512, 0,
			BYTES("\x25\x60\x95\x13" "\0\0" "\0\5" "\0\0\0\0\0\0\0\5"
			      "\0\0\0\0\0\0\0\0" "\0\0\2\0"),
			BYTES("\x67\x44\x66\x98" "\0\0\0\0" "\0\0\0\0\0\0\0\5") },
	};
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_select(fixture->script, "base:allocation", 9);
	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	check_exchanges(fixture, exchanges, sizeof(exchanges) / sizeof(exchanges[0]));
}

static void rule_23_extended_messages_byte_by_byte(void **state)
{
	static const struct exchange exchanges[] = {
		{ PREAD, 0x1234, 4, 0,
			BYTES("\x21\xe4\x1c\x71" "\0\0" "\0\0" "\0\0\0\0\0\0\0\1"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\0\0\0\0\4"),
			/* The offset in the header is the request's, that in the chunk its own. */
			BYTES("\x6e\x8a\x27\x8c" "\0\0" "\0\1" "\0\0\0\0\0\0\0\1"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\0\0\0\0\x0a"
			      "\0\0\0\0\0\0\x12\x36" "ta"
			      "\x6e\x8a\x27\x8c" "\0\1" "\0\2" "\0\0\0\0\0\0\0\1"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\0\0\0\0\x0c"
			      "\0\0\0\0\0\0\x12\x34" "\0\0\0\2") },
		/* PAYLOAD_LEN on every WRITE. */
		{ PWRITE, 0x1000000, 3, NBDT_CMD_FLAG_FUA,
			BYTES("\x21\xe4\x1c\x71" "\0\x21" "\0\1" "\0\0\0\0\0\0\0\2"
			      "\0\0\0\0\1\0\0\0" "\0\0\0\0\0\0\0\3" "www"),
			BYTES("\x6e\x8a\x27\x8c" "\0\1" "\0\0" "\0\0\0\0\0\0\0\2"
			      "\0\0\0\0\1\0\0\0" "\0\0\0\0\0\0\0\0") },
		{ FLUSH, 0, 0, 0,
			BYTES("\x21\xe4\x1c\x71" "\0\0" "\0\3" "\0\0\0\0\0\0\0\3"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"),
			BYTES("\x6e\x8a\x27\x8c" "\0\1" "\0\0" "\0\0\0\0\0\0\0\3"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0") },
		/* 64-bit lengths are not cut. */
		{ ZERO, 0x10000000000, 0x20000000000, NBDT_CMD_FLAG_FAST_ZERO,
			BYTES("\x21\xe4\x1c\x71" "\0\x10" "\0\6" "\0\0\0\0\0\0\0\4"
			      "\0\0\1\0\0\0\0\0" "\0\0\2\0\0\0\0\0"),
			BYTES("\x6e\x8a\x27\x8c" "\0\1" "\0\0" "\0\0\0\0\0\0\0\4"
			      "\0\0\1\0\0\0\0\0" "\0\0\0\0\0\0\0\0") },
		{ TRIM, 0, 0x7fffffffffffffff, 0,
			BYTES("\x21\xe4\x1c\x71" "\0\0" "\0\4" "\0\0\0\0\0\0\0\5"
			      "\0\0\0\0\0\0\0\0" "\x7f\xff\xff\xff\xff\xff\xff\xff"),
			BYTES("\x6e\x8a\x27\x8c" "\0\1" "\0\0" "\0\0\0\0\0\0\0\5"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0") },
		{ STATUS, 0x1000, 0x7fffffffffffe000, 0,
			BYTES("\x21\xe4\x1c\x71" "\0\0" "\0\7" "\0\0\0\0\0\0\0\6"
			      "\0\0\0\0\0\0\x10\0" "\x7f\xff\xff\xff\xff\xff\xe0\0"),
			BYTES("\x6e\x8a\x27\x8c" "\0\1" "\0\6" "\0\0\0\0\0\0\0\6"
			      "\0\0\0\0\0\0\x10\0" "\0\0\0\0\0\0\0\x28"
			      "\0\0\0\x09" "\0\0\0\2"
			      "\0\0\1\0\0\0\0\0" "\0\0\0\0\0\0\0\0"
			      "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\0\0\0\0\0\0\3") },
		{ CACHE, 0, 512, 0,
			BYTES("\x21\xe4\x1c\x71" "\0\0" "\0\5" "\0\0\0\0\0\0\0\7"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\2\0"),
			BYTES("\x6e\x8a\x27\x8c" "\0\1" "\0\0" "\0\0\0\0\0\0\0\7"
			      "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0") },
	};
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_EXTENDED);
	script_select(fixture->script, "base:allocation", 9);
	script_go(fixture->script, INT64_MAX, FIXTURE_ALL_FLAGS);
	check_exchanges(fixture, exchanges, sizeof(exchanges) / sizeof(exchanges[0]));
}

static void rule_23_extended_disconnect_byte_by_byte(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_EXTENDED);
	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	script_add(fixture->script, SCRIPT_EXPECT,
		BYTES("\x21\xe4\x1c\x71" "\0\0" "\0\2" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"
		      "\0\0\0\0\0\0\0\0"));
	fixture_go(fixture, NULL);
	fixture_finish(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(compact_requests_byte_by_byte),
		TEST(structured_replies_byte_by_byte),
		TEST(rule_23_extended_messages_byte_by_byte),
		TEST(rule_23_extended_disconnect_byte_by_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
